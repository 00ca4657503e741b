"""A node whose GPU keeps failing gets no more server pods until it is readmitted."""

from dataclasses import replace

import pytest
from fakes.clusters import Cluster

from flamingo_operator.cluster.actions import Delete
from flamingo_operator.cluster.nodes import Node
from flamingo_operator.rollout import node_avoidance

QUICK = {"minReadySeconds": 0}

PLACES = ("node-1", "node-2", "node-3", "node-4", "node-5")

GPU = "nvidia.com/gpu"


def fleet(num=2, **kwargs):
    """Return a fleet whose servers run, one on each node."""
    given = {"places": PLACES, "num_gpus": 1, **kwargs}
    cluster = Cluster.of({"replicas": num, "rollout": QUICK}, **given)
    cluster.live(4)
    return cluster


def seen(num=5, **fields):
    """Return nodes that an operator sees, by name."""
    names = [f"node-{number}" for number in range(1, num + 1)]
    return {name: Node(name, resources=(GPU,), boot_id=f"{name}-1", **fields) for name in names}


def on(cluster, node):
    (name,) = (name for name, pod in cluster.pods.items() if pod.node == node)
    return name


def avoided(cluster):
    return [one["node"] for one in cluster.status.get("avoidedNodes", ())]


def placed(cluster):
    return sorted(pod.node for pod in cluster.pods.values())


def test_a_pod_whose_gpu_keeps_failing_is_recreated_on_another_node():
    cluster = fleet()
    before = cluster.hashes
    cluster.fault(on(cluster, "node-1"))
    assert "a GPU of node node-1 failed repeatedly" in " ".join(map(str, cluster.operate().actions))
    assert avoided(cluster) == ["node-1"]
    cluster.end()
    cluster.live(2)
    assert placed(cluster) == ["node-2", "node-3"]
    assert len(cluster.ready) == 2
    assert cluster.hashes == before
    assert cluster.reason("Progressing") == "Complete"
    assert cluster.operate().actions == ()


def test_one_fault_moves_no_pod():
    cluster = fleet()
    cluster.fault(on(cluster, "node-1"), num_restarts=1)
    assert cluster.operate().actions == ()
    assert avoided(cluster) == []


def test_a_backoff_counts_as_repeated_faults():
    cluster = fleet()
    name = on(cluster, "node-1")
    cluster.fault(name, num_restarts=1)
    cluster.pods[name] = replace(cluster.pods[name], is_in_backoff=True)
    cluster.operate()
    assert avoided(cluster) == ["node-1"]


def test_another_cause_moves_no_pod_however_often():
    cluster = fleet()
    name = on(cluster, "node-1")
    cluster.fault(name, num_restarts=9)
    other = cluster.pods[name].diagnosis_json.replace('"exitCode": 10', '"exitCode": 11')
    cluster.pods[name] = replace(
        cluster.pods[name], diagnosis_json=other.replace("Xid 79", "a bug")
    )
    assert cluster.operate().actions == ()
    assert avoided(cluster) == []


def test_ready_pods_stay_on_an_avoided_node():
    cluster = fleet(3, places=("node-1", "node-2"), num_gpus=3)
    assert placed(cluster) == ["node-1", "node-1", "node-1"]
    cluster.fault(min(cluster.pods))
    cluster.live(3)
    assert placed(cluster) == ["node-1", "node-1", "node-2"]
    assert len(cluster.ready) == 3


def test_an_unscheduled_pod_is_recreated_with_the_avoided_node_in_its_affinity():
    cluster = fleet(2, places=("node-1",))
    cluster.operate()
    (waiting,) = (name for name, pod in cluster.pods.items() if not pod.node)
    cluster.fault(on(cluster, "node-1"))
    left = {one.ref.name for one in cluster.operate().actions if isinstance(one, Delete)}
    assert left == set(cluster.pods) | {waiting}
    cluster.operate()
    assert {pod.avoided_nodes for pod in cluster.pods.values() if not pod.is_terminating} == {
        ("node-1",)
    }


def test_few_nodes_are_avoided_however_many_fail():
    cluster = fleet(4, places=tuple(f"node-{number}" for number in range(1, 13)))
    for _ in range(6):
        cluster.fault(*(name for name, pod in cluster.pods.items() if pod.node != "node-4"))
        cluster.operate()
        cluster.end()
        cluster.operate()
        cluster.schedule()
        cluster.wait(60)
    assert len(avoided(cluster)) == node_avoidance.MAX_AVOIDED
    assert len(cluster.pods) == 4


def test_a_revision_that_was_never_ready_makes_only_one_node_avoided():
    cluster = fleet()
    cluster.change(server={"image": "bad:1"})
    for _ in range(6):
        cluster.operate()
        cluster.schedule()
        fresh = cluster.spec_hash
        cluster.fault(*(n for n, pod in cluster.pods.items() if pod.revision == fresh and pod.node))
        cluster.end()
        cluster.wait(10)
    assert len(avoided(cluster)) == node_avoidance.MAX_AVOIDED_UNPROVEN
    assert len(cluster.ready) == 2


def test_a_first_revision_with_a_ready_pod_is_proven():
    cluster = Cluster.of({"replicas": 3, "rollout": QUICK}, places=PLACES, num_gpus=1)
    cluster.operate()
    cluster.operate()
    cluster.schedule()
    cluster.load()
    cluster.fault(on(cluster, "node-1"), on(cluster, "node-2"))
    cluster.operate()
    assert avoided(cluster) == ["node-1", "node-2"]


def test_a_terminating_pod_is_not_deleted_twice():
    cluster = fleet()
    name = on(cluster, "node-1")
    cluster.fault(name)
    cluster.operate()
    assert cluster.pods[name].is_terminating
    assert not [one for one in cluster.decide().actions if isinstance(one, Delete)]


@pytest.mark.parametrize(("num_nodes", "num_avoided"), [(1, 0), (2, 1), (5, 2)])
def test_no_more_than_half_of_the_nodes_with_gpus_are_avoided(num_nodes, num_avoided):
    cluster = fleet(3, nodes=seen(num_nodes) | {"no-gpu": Node("no-gpu")})
    cluster.fault(*list(cluster.pods)[:2])
    cluster.operate()
    assert len(avoided(cluster)) == num_avoided
    assert sum(pod.is_terminating for pod in cluster.pods.values()) == num_avoided


def failed(**kwargs):
    """Return a fleet that avoids node-1."""
    cluster = fleet(**kwargs)
    cluster.fault(on(cluster, "node-1"))
    cluster.live(3)
    assert avoided(cluster) == ["node-1"]
    return cluster


def test_a_rebooted_node_is_readmitted():
    cluster = failed(nodes=seen())
    cluster.wait(10 * node_avoidance.UNDETECTED_REBOOT_EXPIRY_S)
    cluster.operate()
    assert avoided(cluster) == ["node-1"]
    cluster.nodes["node-1"] = replace(cluster.nodes["node-1"], boot_id="another")
    cluster.operate()
    assert avoided(cluster) == []


def test_a_deleted_node_is_no_longer_listed():
    cluster = failed(nodes=seen())
    del cluster.nodes["node-1"]
    cluster.operate()
    assert avoided(cluster) == []


def test_where_nodes_cannot_be_listed_one_is_avoided_for_a_day():
    cluster = failed()
    since_s = cluster.decide().avoided_nodes[0].since_s
    assert cluster.decide().requeue_at_s == since_s + node_avoidance.UNDETECTED_REBOOT_EXPIRY_S
    cluster.now_s = since_s + node_avoidance.UNDETECTED_REBOOT_EXPIRY_S - 1
    cluster.operate()
    assert avoided(cluster) == ["node-1"]
    cluster.wait(1)
    cluster.operate()
    assert avoided(cluster) == []


@pytest.mark.parametrize(
    ("annotation", "is_avoided"), [("node-2", True), (" node-1,x", False), ("*", 0)]
)
def test_a_node_in_the_annotation_is_readmitted(annotation, is_avoided):
    cluster = failed()
    cluster.body["metadata"]["annotations"] = {"flamingo.dev/trusted-nodes": annotation}
    cluster.change()
    cluster.operate()
    assert avoided(cluster) == (["node-1"] if is_avoided else [])


def test_an_unscheduled_pod_is_recreated_when_a_node_is_readmitted():
    cluster = failed(num=2, places=("node-1", "node-2"))
    cluster.live(2)
    (waiting,) = (pod for pod in cluster.pods.values() if not pod.node)
    assert waiting.is_unschedulable
    cluster.body["metadata"]["annotations"] = {"flamingo.dev/trusted-nodes": "node-1"}
    cluster.change()
    cluster.live(2)
    assert placed(cluster) == ["node-1", "node-2"]
    assert len(cluster.ready) == 2


def test_a_paused_deployment_avoids_no_node_and_plans_the_pods_to_delete():
    cluster = fleet()
    cluster.change(paused=True)
    cluster.fault(on(cluster, "node-1"))
    cluster.operate()
    assert avoided(cluster) == []
    assert "a GPU of node node-1 failed repeatedly" in cluster.status["plan"]["actions"][0]
