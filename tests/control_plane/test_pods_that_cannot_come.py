"""Quotas, LimitRanges and volumes that keep pods away, and nodes that are to be emptied."""

import json

import pytest
from control_plane.operators import QUICK, wait_until

NUM_PLACES = 5
NEW = {"server": {"image": "example.com/pod:2"}}
SMALL = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "128Mi"}}
CACHE = {
    "type": "PersistentVolumeClaim",
    "preload": True,
    "persistentVolumeClaim": {"size": "1Gi"},
}
COMPUTE = "requests.cpu=20,limits.cpu=20,requests.memory=20Gi,limits.memory=20Gi"
PATIENCE = {**QUICK, "surgePendingSeconds": 10}
DONE = {"name": "preload", "image": "a", "imageID": "", "restartCount": 0, "ready": False}


@pytest.fixture
def three(places):
    """Return three unused namespaces."""
    found = [places.pop() for _ in range(3)]
    yield found
    for one in found:
        one.delete("fd", "music")


def set_quota(place, hard):
    place.kubectl("create", "quota", "q", f"--hard={hard}")


def condition(place, kind):
    found = (one for one in place.status().get("conditions", ()) if one["type"] == kind)
    return next(found, {"reason": "", "message": ""})


def failures(place):
    return {(one["component"], one["reason"]): one for one in place.status().get("failures", ())}


def wait_failure(place, component, reason):
    key = component, reason
    wait_until(lambda: key in failures(place), f"{key} is reported")
    return failures(place)[key]


def test_a_rollout_completes_where_a_quota_allows_as_many_pods_as_servers(three):
    hard = ("requests.nvidia.com/gpu=2", "pods=1", "limits.memory=256Mi")
    for place, quota, replicas in zip(three, hard, (2, 1, 2), strict=True):
        set_quota(place, quota)
        server = {"resources": SMALL}
        spec = {"replicas": replicas, "rollout": PATIENCE, "server": server}
        place.create({**spec, "router": {"enabled": False}})
    for place, replicas in zip(three, (2, 1, 2), strict=True):
        place.wait_complete(replicas)
        place.change(NEW)
    for place in three:
        wait_until(
            lambda place=place: "quota" in condition(place, "Progressing")["message"],
            "Progressing names the quota",
        )
        assert condition(place, "Accepted")["reason"] == "QuotaExceeded"
        assert ("server", "QuotaExceeded") in failures(place)
    for place, replicas in zip(three, (2, 1, 2), strict=True):
        place.wait_complete(replicas)
        assert place.images() == {"example.com/pod:2"}
        assert failures(place) == {}


def test_why_routers_and_the_preload_job_have_no_pods_is_reported(place):
    set_quota(place, f"{COMPUTE},pods=0")
    place.create({"server": {"resources": SMALL}, "cache": CACHE})
    router = wait_failure(place, "router", "ResourcesRequired")
    assert router["count"] == 2
    assert "spec.router.resources" in router["hint"]
    assert condition(place, "RouterReady")["reason"] == "ResourcesRequired"
    assert "quota" in condition(place, "Ready")["message"]
    preload = wait_failure(place, "preload", "QuotaExceeded")
    assert "samplePod" not in preload
    assert condition(place, "ModelCached")["reason"] == "QuotaExceeded"


def test_the_preload_job_runs_under_a_compute_quota_and_says_why_it_fails(place):
    set_quota(place, COMPUTE)
    asked = {"sidecar.istio.io/inject": "false"}
    server = {"resources": SMALL, "podMetadata": {"annotations": asked}}
    place.create({"server": server, "cache": CACHE, "router": {"enabled": False}})
    unbound = wait_failure(place, "preload", "Unschedulable")
    assert "PersistentVolumeClaim" in unbound["hint"]
    (pod,) = place.get("pods")["items"]
    assert asked.items() <= pod["metadata"]["annotations"].items()
    job = place.get("jobs")["items"][0]["metadata"]
    ended = {"exitCode": 6, "reason": "Error", "message": "gated", "containerID": "a://b"}
    status = {"phase": "Failed", "containerStatuses": [{**DONE, "state": {"terminated": ended}}]}
    status["conditions"] = [{"type": "PodScheduled", "status": "True"}]
    place.kubectl(
        "patch",
        "pod",
        pod["metadata"]["name"],
        "--subresource=status",
        "--type=merge",
        f"--patch={json.dumps({'status': status})}",
    )
    denied = wait_failure(place, "preload", "ModelAccessDenied")
    assert "license" in denied["hint"]
    # Another template makes another Job, because that of a Job is immutable.
    place.change({"cache": {**CACHE, "preloadResources": {"limits": {"memory": "2Gi"}}}})

    def is_new():
        jobs = [one["metadata"] for one in place.get("jobs")["items"]]
        return [one["name"] for one in jobs] == [job["name"]] and jobs[0]["uid"] != job["uid"]

    wait_until(is_new, "the Job is recreated")


def test_kubectl_drain_ends_without_a_gap_also_where_a_budget_allows_no_eviction(
    here, whole_cluster
):
    whole_cluster.admit_everywhere(here.namespace)
    here.start("--no-leader-election", namespaces="")
    here.create({"replicas": 3, "server": {"pdb": {"minAvailable": 3}}})
    here.wait_complete(3)
    assert condition(here, "Accepted")["reason"] == "EvictionsBlocked"
    node = here.pods()[0]["spec"]["nodeName"]
    chosen = "--pod-selector=flamingo.dev/component=server,flamingo.dev/deployment=music"
    with here.pods_watched() as after_each:
        wait_until(lambda: after_each() and len(after_each()[-1]) == 3, "they are seen")
        try:
            whole_cluster.output(
                "drain", node, "--delete-emptydir-data", "--force", "--timeout=60s", chosen
            )
            here.wait_complete(3)
            seen = after_each()
        finally:
            whole_cluster.output("uncordon", node)
    assert node not in {pod["spec"]["nodeName"] for pod in here.pods()}
    assert min(num_ready(pods) for pods in seen if len(pods) >= 3) == 3


def num_ready(pods):
    """Return how many of these servers get requests."""
    return sum(
        pod["metadata"]["labels"]["flamingo.dev/serving"] == "true"
        and any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in pod["status"].get("conditions", ())
        )
        for pod in pods
    )
