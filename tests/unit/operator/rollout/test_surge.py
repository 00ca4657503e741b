"""Rollouts that find no room for an additional server pod."""

from dataclasses import replace
from decimal import Decimal

import pytest
from fakes.clusters import Cluster

from flamingo_operator.cluster.actions import Drain
from flamingo_operator.cluster.nodes import Node

QUICK = {"minReadySeconds": 0, "surgePendingSeconds": 60}
NEW = {"image": "b:2"}
FULL = (
    "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: 0/2 nodes are available:"
    " 2 No preemption victims found for incoming pod."
)
NO_SUCH_NODE = (
    "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. preemption:"
    " 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
)
TOO_LARGE = (
    "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2"
    " Preemption is not helpful for scheduling."
)
DENIAL = 'admission webhook "team.example.com" denied the request: no team label'


def running(replicas=2, **given):
    cluster = Cluster.of({"replicas": replicas, "rollout": QUICK}, **given)
    cluster.live(6)
    assert len(cluster.ready) == replicas
    return cluster


def turn(cluster, *, change=None, every_s=10.0):
    """Let everybody act once; return the number of servers that were ready and not draining."""
    decision = cluster.operate()
    if change is None:
        cluster.schedule()
    else:
        change(cluster)
    cluster.load()
    num_ready = len(cluster.ready)
    cluster.end()
    cluster.wait(every_s)
    return decision, num_ready


def hold_new(**fields):
    """Return a change that lets new pods wait as `fields` say while all old ones are there."""

    def change(cluster):
        old = [one for one in cluster.pods.values() if one.node]
        if len(old) < 2:
            cluster.schedule()
            return
        for name, pod in cluster.pods.items():
            if not pod.node:
                cluster.pods[name] = replace(pod, **fields)

    return change


def complete(cluster, turns=60, change=None):
    """Let a rollout go on; return the fewest servers that were ready meanwhile."""
    return min(turn(cluster, change=change)[1] for _ in range(turns))


def is_updated(cluster):
    return cluster.hashes == [cluster.status["updateRevision"]]


def told(cluster):
    found = [*cluster.status["conditions"], *cluster.status["failures"]]
    return "\n".join(one["message"] for one in found)


def test_a_quota_of_as_many_pods_as_servers_lets_one_leave_first_and_is_named_throughout():
    cluster = running(quota=2)
    cluster.change(server=NEW)
    fewest, named = 2, []
    for _ in range(60):
        _, num_ready = turn(cluster)
        fewest = min(fewest, num_ready)
        if cluster.status["updatedReplicas"] < 2:
            named.append("exceeded quota" in told(cluster))
    assert is_updated(cluster)
    assert cluster.reason("Progressing") == "Complete"
    assert fewest == 1
    assert all(named[2:])
    assert "quota" not in told(cluster)


def test_strategy_rolling_update_keeps_its_rules_and_says_what_would_help():
    cluster = running(quota=2)
    cluster.change(server=NEW, rollout={**QUICK, "strategy": "RollingUpdate"})
    assert complete(cluster) == 2
    assert "exceeded quota" in told(cluster)
    assert "set spec.rollout.strategy to Auto" in told(cluster)


def test_a_quota_of_one_pod_replaces_the_only_server():
    cluster = running(1, quota=1)
    cluster.change(server=NEW)
    complete(cluster)
    assert is_updated(cluster)


def test_nothing_is_drained_for_a_quota_that_the_new_pod_exceeds_by_itself():
    cluster = running(1, quota=1)
    cluster.denial = (
        'pods "x" is forbidden: exceeded quota: cpu, requested: requests.cpu=8,'
        " used: requests.cpu=4, limited: requests.cpu=6"
    )
    cluster.quota = None
    cluster.change(server=NEW)
    assert complete(cluster) == 1
    assert not is_updated(cluster)


@pytest.mark.parametrize(
    "denial",
    [
        DENIAL,
        "failed quota: q: must specify limits.cpu for: server",
        "maximum memory usage per Container is 1Gi, but limit is 2Gi",
    ],
)
def test_no_server_is_given_up_for_a_refusal_that_the_replacement_would_get_too(denial):
    cluster = running(2)
    cluster.denial = denial
    cluster.change(server=NEW)
    assert complete(cluster) == 2
    assert denial in told(cluster)


def test_a_rolled_back_rollout_says_what_kept_it():
    cluster = running(2)
    cluster.denial = DENIAL
    cluster.change(server=NEW, rollout={**QUICK, "progressDeadlineSeconds": 60})
    complete(cluster)
    assert cluster.reason("Progressing") == "RolledBack"
    assert "no team label" in told(cluster)


@pytest.mark.parametrize(
    "waiting",
    [
        {"is_gated": True, "scheduling_message": "Scheduling is blocked"},
        {"is_unschedulable": True, "scheduling_message": FULL},
    ],
)
def test_a_surge_pod_that_waits_for_room_lets_one_server_leave_first(waiting):
    cluster = running(2)
    cluster.change(server=NEW)
    assert complete(cluster, change=hold_new(**waiting)) == 1
    assert is_updated(cluster)


@pytest.mark.parametrize("message", [NO_SUCH_NODE, TOO_LARGE])
def test_no_server_is_given_up_for_a_pod_that_fits_on_no_node(message):
    cluster = running(2)
    cluster.change(server=NEW)
    waiting = {"is_unschedulable": True, "scheduling_message": message}
    assert complete(cluster, change=hold_new(**waiting)) == 2
    assert message.partition(". ")[0] in told(cluster)


def test_no_server_is_given_up_whose_node_the_new_pod_must_not_run_on():
    labels = {"nvidia.com/gpu.product": "NVIDIA-L40S"}
    cluster = running(2, nodes={"node-1": Node("node-1", labels=labels)})
    cluster.change(gpu={"products": ["NVIDIA-H100-80GB-HBM3"]})
    waiting = {"is_unschedulable": True, "scheduling_message": FULL}
    assert complete(cluster, change=hold_new(**waiting)) == 2


def test_a_server_that_has_none_of_the_lacking_resource_is_not_given_up():
    cluster = running(2)
    cluster.change(gpu={"resourceName": "nvidia.com/mig-3g.40gb"})
    message = FULL.replace("nvidia.com/gpu", "nvidia.com/mig-3g.40gb")
    waiting = {"is_unschedulable": True, "scheduling_message": message}
    assert complete(cluster, change=hold_new(**waiting)) == 2


def test_a_surge_pod_that_its_kubelet_rejects_lets_one_server_leave_first():
    def reject(cluster):
        cluster.schedule()
        is_full = sum(pod.revision == first for pod in cluster.pods.values()) == 2
        for name, pod in cluster.pods.items():
            if pod.revision != first and is_full:
                why = "Pod was rejected: Allocate failed due to requested number of devices"
                cluster.pods[name] = replace(pod, is_finished=True, admission_error=why)

    cluster = running(2)
    (first,) = cluster.hashes
    cluster.change(server=NEW)
    assert complete(cluster, turns=8, change=reject) == 2
    assert "requested number of devices" in told(cluster)
    assert complete(cluster, turns=30, change=reject) == 1
    assert is_updated(cluster)


def test_the_wait_for_room_happens_once_in_a_rollout():
    cluster = running(3, quota=3)
    cluster.change(server=NEW)
    drains = []
    for number in range(40):
        decision, _ = turn(cluster)
        drains += [number for one in decision.actions if isinstance(one, Drain)]
    assert len(drains) == 3
    assert drains[0] >= 6
    assert drains[2] - drains[0] < 9


def test_a_surge_pod_that_finds_room_while_it_is_waited_for_ends_the_wait():
    cluster = running(2, quota=2)
    cluster.change(server=NEW)
    for _ in range(4):
        turn(cluster)
    cluster.quota = 3
    assert complete(cluster) == 2
    assert is_updated(cluster)


def test_the_api_server_is_asked_again_when_a_pod_is_gone_and_else_ever_less_often():
    cluster = running(2, quota=2)
    cluster.change(server=NEW, rollout={**QUICK, "surgePendingSeconds": 3600})
    tries = [
        number
        for number in range(300)
        if any("create Pod" in str(one) for one in turn(cluster, every_s=1.0)[0].actions)
    ]
    assert 5 <= len(tries) <= 20
    assert tries[1] - tries[0] <= 2
    assert tries[-1] - tries[-2] >= 25
    gone = next(iter(cluster.pods))
    del cluster.pods[gone]
    decision, _ = turn(cluster)
    assert any("create Pod" in str(one) for one in decision.actions)


def test_the_usage_of_the_pods_that_leave_decides_what_a_quota_takes():
    def grow(cluster, num):
        pods = cluster.pods.items()
        usage = {"requests.cpu": Decimal(num)}
        cluster.pods = {name: replace(pod, usage=usage) for name, pod in pods}

    for cpus, is_enough in ((2, True), (1, False)):
        cluster = running(2)
        grow(cluster, cpus)
        cluster.denial = (
            'pods "x" is forbidden: exceeded quota: cpu, requested: requests.cpu=2,'
            " used: requests.cpu=4, limited: requests.cpu=4"
        )
        cluster.change(server=NEW)
        fewest = min(turn(cluster)[1] for _ in range(20))
        assert (fewest == 1) is is_enough
