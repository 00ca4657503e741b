"""Pods and nodes, as they are parsed from the API server."""

import json

import pytest
from fakes.operator_inputs import started_pod

from flamingo_operator.cluster import nodes, observed

GPU = "nvidia.com/gpu"


def test_a_pod_and_a_node_are_parsed_from_the_api_server_s_json():
    waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 4}
    raw = {
        "metadata": {
            "name": "a",
            "namespace": "b",
            "uid": "u",
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {},
            "annotations": {"flamingo.dev/avoids": "n-1,n-2"},
        },
        "spec": {"containers": [{"name": "server"}]},
        "status": {"containerStatuses": [waiting]},
    }
    pod = observed.parse_pod(raw)
    assert (pod.num_restarts, pod.is_in_backoff, pod.avoided_nodes) == (4, True, ("n-1", "n-2"))
    assert json.loads(pod.diagnosis_json)["metadata"]["annotations"] == {
        "flamingo.dev/avoids": "n-1,n-2"
    }
    node = nodes.parse_node(
        {
            "metadata": {"name": "n-1"},
            "spec": {},
            "status": {"capacity": {"cpu": "4", GPU: "8"}, "nodeInfo": {"bootID": "x"}},
        }
    )
    assert (node.resources, node.boot_id) == ((GPU,), "x")


def test_a_ready_pod_is_stored_without_its_status():
    def parsed(*, ready):
        raw = started_pod("music-r-0", "10.0.0.1")
        raw["status"]["conditions"] = [{"type": "Ready", "status": ready}]
        raw["metadata"]["labels"]["flamingo.dev/revision"] = "r"
        return observed.parse_pod(raw)

    assert parsed(ready="True").diagnosis_json == ""
    assert json.loads(parsed(ready="False").diagnosis_json)["status"]["conditions"]


@pytest.mark.parametrize(
    ("since", "started", "num_restarts", "has_lost"),
    [
        ("2026-01-01T00:00:01Z", "2026-01-01T00:00:04Z", 0, False),
        ("2026-01-01T00:09:00Z", "2026-01-01T00:00:04Z", 0, True),
        ("2026-01-01T00:09:00Z", "2026-01-01T00:09:01Z", 1, True),
    ],
    ids=["starting", "was ready", "restarted"],
)
def test_a_pod_that_starts_differs_from_one_that_was_ready(since, started, num_restarts, has_lost):
    raw = started_pod("music-r-0", "10.0.0.1")
    not_ready = {"type": "Ready", "status": "False", "lastTransitionTime": since}
    container = {"state": {"running": {"startedAt": started}}, "restartCount": num_restarts}
    raw["status"] = {"conditions": [not_ready], "containerStatuses": [container]}
    assert observed.parse_pod(raw).has_lost_readiness == has_lost


DONE = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 3}


@pytest.mark.parametrize(
    ("changed", "is_rolled_out"),
    [
        ({}, True),
        ({"observedGeneration": 2}, False),
        ({"updatedReplicas": 1}, False),
        ({"availableReplicas": 1}, False),
        ({"replicas": 3}, False),
    ],
)
def test_a_deployment_is_rolled_out_when_all_its_pods_are_new_and_available(changed, is_rolled_out):
    body = deployment_of(DONE | changed)
    assert observed.parse_owned_object(body, "Deployment").is_rolled_out == is_rolled_out


def deployment_of(status, reason=""):
    metadata = {"name": "music-router", "uid": "u", "resourceVersion": "1", "generation": 3}
    progressing = {"type": "Progressing", "status": "True", "reason": reason}
    return {
        "metadata": metadata,
        "spec": {"replicas": 2},
        "status": status | {"conditions": [progressing]},
    }


def test_a_deployment_s_progress_counts_only_for_its_current_template():
    def parsed(generation, reason):
        body = deployment_of(DONE | {"observedGeneration": generation}, reason)
        one = observed.parse_owned_object(body, "Deployment")
        return one.has_been_available, one.has_missed_deadline

    assert parsed(3, "NewReplicaSetAvailable") == (True, False)
    assert parsed(3, "ProgressDeadlineExceeded") == (False, True)
    assert parsed(2, "ProgressDeadlineExceeded") == (False, False)
