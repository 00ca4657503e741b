"""In which order pods are removed."""

from dataclasses import replace

from fakes.operator_inputs import ready_pod

from flamingo_operator.cluster.nodes import Node
from flamingo_operator.cluster.observed import Load, Observed
from flamingo_operator.rollout import removal_order


def named(pod, name, **fields):
    return replace(pod, ref=replace(pod.ref, name=name), **fields)


def test_pods_whose_removal_costs_least_are_removed_first():
    pod = ready_pod()
    ranked = [
        named(pod, "waits-for-a-node", is_ready=False, node=""),
        named(pod, "loads", is_ready=False),
        named(pod, "on-a-cordoned-node", node="cordoned"),
        named(pod, "of-an-old-revision", revision="old"),
        named(pod, "idle"),
        named(pod, "busy-and-young", created_s=pod.created_s + 9),
        named(pod, "busy-and-old"),
    ]
    observed = Observed(
        nodes={"cordoned": Node("cordoned", is_cordoned=True), "node-1": Node("node-1")},
        loads={"idle": Load(0.0, 0), "busy-and-young": Load(9.0, 1), "busy-and-old": Load(9.0, 1)}
        | {"on-a-cordoned-node": Load(99.0, 9), "of-an-old-revision": Load(99.0, 9)},
    )
    order = removal_order.removal_order(reversed(ranked), observed, pod.revision)
    assert [one.ref.name for one in order] == [one.ref.name for one in ranked]
