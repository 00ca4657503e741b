"""Pods and nodes, as they are parsed from the API server."""

import json

from fakes.operator_inputs import started_pod

from flamingo_operator.cluster import observed

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
    node = observed.parse_node(
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
