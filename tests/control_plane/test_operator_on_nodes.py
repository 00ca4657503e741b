"""The operator where there are nodes, a scheduler, kubectl and admission: a real control plane."""

import json
import signal
import time

import pytest
from control_plane.operators import QUICK, wait_until

SCARCE = "example.com/scarce-gpu"
NUM_PLACES = 5


@pytest.fixture
def scarce(whole_cluster):
    """Let one node have two of a resource that no other node has."""
    for count in ("2", None):
        patch = json.dumps(
            {"status": {"capacity": {SCARCE: count}, "allocatable": {SCARCE: count}}}
        )
        args = ("patch", "node", "simulated-0", "--subresource=status", "--type=merge")
        whole_cluster.output(*args, f"--patch={patch}")
        if count:
            yield SCARCE


def num_ready(pods):
    """Return how many of these servers get requests."""
    return sum(
        pod["metadata"]["labels"]["flamingo.dev/serving"] == "true"
        and "deletionTimestamp" not in pod["metadata"]
        and any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in pod["status"].get("conditions", ())
        )
        for pod in pods
    )


def fewest_ready(here, change):
    """Return the fewest of two servers that were ready while `change` was rolled out."""
    with here.pods_watched() as after_each:
        wait_until(lambda: after_each() and num_ready(after_each()[-1]) == 2, "two are seen")
        num_before = len(after_each())
        here.change(change)
        here.wait_complete(2)
        return min(num_ready(pods) for pods in after_each()[num_before:])


def test_a_rollout_keeps_all_pods_available_where_a_gpu_is_free(fleet):
    assert fewest_ready(fleet, {"server": {"image": "example.com/pod:2"}}) == 2
    wait_until(lambda: fleet.images() == {"example.com/pod:2"}, "all are new")


def test_a_rollout_removes_a_pod_first_where_no_gpu_is_free(place, scarce):
    place.create(
        {
            "replicas": 2,
            "gpu": {"resourceName": scarce},
            "rollout": {**QUICK, "surgePendingSeconds": 10},
        }
    )
    place.wait_complete(2)
    assert fewest_ready(place, {"server": {"image": "example.com/pod:2"}}) == 1
    assert "WaitingForGPU" in place.event_reasons()
    wait_until(lambda: place.images() == {"example.com/pod:2"}, "all are new")


def test_a_drained_node_may_take_one_server_at_a_time(fleet):
    def allowed():
        # The disruption controller reads our scale subresource. Of a kind that it does not know
        # yet it learns within half a minute, and then looks when something changes.
        found = fleet.get("pdb", "music-servers")
        seen = {"metadata": {"annotations": {"example.com/seen": str(time.monotonic())}}}
        fleet.patch("pdb", "music-servers", seen)
        return found.get("status", {}).get("disruptionsAllowed")

    wait_until(lambda: allowed() == 1, "one may go")
    pods = [pod["metadata"]["name"] for pod in fleet.pods()]
    path = f"/api/v1/namespaces/{fleet.namespace}/pods/{{}}/eviction"
    operator = fleet.operators[0].process
    operator.send_signal(
        signal.SIGSTOP
    )  # or the first would be replaced before the second is asked
    for name, is_first in ((pods[0], True), (pods[1], False)):
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        ask = ("create", "--raw", path.format(name), "-f", "-")
        result = fleet.cluster.call("-n", fleet.namespace, *ask, body=eviction)
        assert (result.returncode == 0) == is_first, result.stderr
    operator.send_signal(signal.SIGCONT)
    fleet.wait_complete(2)


def test_what_the_api_server_refuses_is_in_a_condition(place):
    place.create({"replicas": 1, "server": {"priorityClassName": "no-such-class"}})
    wait_until(lambda: place.reason("Accepted") == "Rejected", "the condition reports it")
    conditions = {one["type"]: one for one in place.status()["conditions"]}
    assert "no-such-class" in conditions["Accepted"]["message"]
    assert conditions["Ready"]["reason"] == "Rejected"


def test_the_pod_on_a_cordoned_node_is_removed_first(here, whole_cluster):
    whole_cluster.admit_everywhere(here.namespace)
    here.start("--no-leader-election", namespaces="")
    here.create({"replicas": 3})
    here.wait_complete(3)
    node = here.pods()[0]["spec"]["nodeName"]
    on_it = [pod for pod in here.pods() if pod["spec"]["nodeName"] == node]
    whole_cluster.output("cordon", node)
    try:
        here.kubectl("scale", "fd", "music", f"--replicas={3 - len(on_it)}")
        here.wait_complete(3 - len(on_it))
        wait_until(lambda: len(here.pods()) == 3 - len(on_it), "they are deleted")
        assert node not in {pod["spec"]["nodeName"] for pod in here.pods()}
    finally:
        whole_cluster.output("uncordon", node)


def test_kubectl_get_shows_the_state(fleet):
    shown = fleet.kubectl("get", "fd", "music", "--no-headers").split()
    assert shown[1:6] == ["2", "2", "2", "True", "AllReady"]
