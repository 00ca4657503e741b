"""A dead GPU on a real API server: its node gets no more server pods until it reboots."""

import json

import pytest
from control_plane.deployments import FAILED_SERVER
from control_plane.operators import wait_until

RARE = "example.com/rare-gpu"
FAULTY = FAILED_SERVER | {
    "lastState": {"terminated": {"exitCode": 10, "reason": "Error", "message": "Xid 79, off bus"}}
}


def patch_node(cluster, name, **status):
    patch = json.dumps({"status": status})
    cluster.output(
        "patch", "node", name, "--subresource=status", "--type=merge", f"--patch={patch}"
    )


@pytest.fixture
def pair(whole_cluster):
    """Let two nodes, and no others, have one GPU of a kind."""
    names = whole_cluster.output("get", "nodes", "-o", "name").split()[:2]
    nodes = [name.removeprefix("node/") for name in names]
    for name in nodes:
        info = {"bootID": f"{name}-1"}
        patch_node(whole_cluster, name, capacity={RARE: "1"}, nodeInfo=info)
        patch_node(whole_cluster, name, allocatable={RARE: "1"})
    yield nodes
    for name in nodes:
        patch_node(whole_cluster, name, capacity={RARE: None})
        patch_node(whole_cluster, name, allocatable={RARE: None})


def break_gpu(site_, pod):
    """Write what a kubelet writes of a server that its GPU ended twice."""
    name = pod["metadata"]["name"]
    # Or the simulated kubelet would make it ready again.
    site_.kubectl("annotate", "pod", name, "ready.simulated/delay=1h")
    status = {
        "containerStatuses": [FAULTY],
        "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
    }
    patch = json.dumps({"status": status})
    site_.kubectl("patch", "pod", name, "--subresource=status", f"--patch={patch}")


def test_the_node_of_a_dead_gpu_is_avoided_until_it_reboots(here, pair, whole_cluster):
    whole_cluster.admit_everywhere(here.namespace)
    operator = here.start("--no-leader-election", namespaces="")
    here.create({"replicas": 2, "gpu": {"resourceName": RARE}})
    here.wait_complete(2)
    dead = next(pod for pod in here.pods() if pod["spec"]["nodeName"] == pair[0])
    break_gpu(here, dead)

    (avoided,) = wait_until(lambda: here.status().get("avoidedNodes"), "the node is avoided")
    assert (avoided["node"], avoided["reason"], avoided["bootID"]) == (
        pair[0],
        "GPUFault",
        f"{pair[0]}-1",
    )
    assert "Xid 79" in avoided["message"]
    # The only other node with such a GPU is taken, so the replacement waits, and says why.
    (why,) = wait_until(
        lambda: [one for one in here.status()["failures"] if one["reason"] == "WaitingForGPU"],
        "the replacement waits",
    )
    assert why["hint"].endswith(f"nodes avoided because a GPU there failed: {pair[0]}")
    assert dead["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in here.pods()}
    assert len(here.get("controllerrevisions")["items"]) == 1
    gauge = f'flamingo_operator_avoided_nodes{{name="music",namespace="{here.namespace}"}}'
    wait_until(lambda: operator.metric(gauge) == 1, "it is in the metrics")

    # The next operator knows it from the status.
    assert operator.stop() == 0
    operator = here.start("--no-leader-election", namespaces="")
    wait_until(operator.is_idle, "it has reconciled")
    assert [one["node"] for one in here.status()["avoidedNodes"]] == [pair[0]]
    assert {pod["spec"].get("nodeName") for pod in here.pods()} == {pair[1], None}

    patch_node(whole_cluster, pair[0], nodeInfo={"bootID": f"{pair[0]}-2"})
    here.wait_complete(2)
    assert here.status()["avoidedNodes"] == []
    assert {pod["spec"]["nodeName"] for pod in here.pods()} == set(pair)
    assert {"NodeAvoided", "NodeReadmitted"} <= here.event_reasons()


def test_where_nodes_cannot_be_listed_the_annotation_ends_it(here):
    here.start("--no-leader-election")
    here.create({"replicas": 2})
    here.wait_complete(2)
    dead = here.pods()[0]
    node = dead["spec"]["nodeName"]
    break_gpu(here, dead)
    wait_until(lambda: here.status().get("avoidedNodes"), "the node is avoided")
    here.wait_complete(2)
    here.change({"replicas": 6})
    here.wait_complete(6)
    on_it = {pod["metadata"]["uid"] for pod in here.pods() if pod["spec"]["nodeName"] == node}
    assert dead["metadata"]["uid"] not in on_it
    assert len(on_it) <= 1  # the other of the first two, if it was there before
    here.kubectl("annotate", "fd", "music", f"flamingo.dev/trusted-nodes={node}")
    wait_until(lambda: here.status()["avoidedNodes"] == [], "it is readmitted")
