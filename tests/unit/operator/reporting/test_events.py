"""The events for what changed in a status."""

from dataclasses import replace

from fakes.clusters import Cluster
from fakes.operator_inputs import QUICK

from flamingo_operator.cluster.rejections import Rejection
from flamingo_operator.reporting import events, status
from flamingo_operator.reporting.events import Event
from flamingo_operator.reporting.status import StatusInputs

PLACES = ("node-1", "node-2")


def scaled(old, new):
    return [one.message for one in events.events(old, new) if one.reason == "Scaled"]


def test_a_paused_deployment_scales_nothing_and_posts_no_event():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    before = cluster.status
    cluster.change(paused=True, replicas=3)
    cluster.operate()
    planned = cluster.status
    assert scaled(before, planned) == []
    broken = status.status_of_invalid_spec(
        9, ["no such field"], planned, cluster.observed, cluster.now_s
    )
    assert scaled(planned, broken) == []
    # What was planned happens only now.
    cluster.change(paused=False)
    cluster.operate()
    assert scaled(planned, cluster.status) == ["scaled from 2 to 3 replicas"]
    assert scaled(before, cluster.status) == ["scaled from 2 to 3 replicas"]


def written(cluster, rejections=(), **changed):
    """Write a status of what is observed now; return its events."""
    before = cluster.status
    inputs = StatusInputs(
        cluster.deployment, cluster.observed, cluster.decide(), rejections, before, cluster.now_s
    )
    cluster.status = status.build_status(replace(inputs, **changed))
    return list(events.events(before, cluster.status))


def life(cluster, num_rounds):
    """Let the operator and Kubernetes act in turns; return the events."""
    seen = []
    for _ in range(num_rounds):
        before = cluster.status
        cluster.operate()
        seen += events.events(before, cluster.status)
        cluster.schedule()
        cluster.load()
        cluster.end()
        cluster.wait(60)
    return seen


def test_a_healthy_life_posts_no_warning_and_no_fact_twice():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    started = life(cluster, 6)
    assert [one.reason for one in started] == ["RouterNotReady", "AllReady", "Complete"]
    cluster.change(replicas=3)
    scaled_up = life(cluster, 6)
    assert [one.reason for one in scaled_up] == ["Scaled", "Complete"]
    cluster.change(server={"image": "b:2"})
    rolled = life(cluster, 12)
    assert [one.reason for one in rolled if one.reason != "DrainStarted"] == [
        "RolloutInProgress",
        "Complete",
    ]
    cluster.change(suspend=True)
    suspended = life(cluster, 4)
    for one in (*started, *scaled_up, *rolled, *suspended):
        assert not one.is_warning, one
    for phase in (started, scaled_up, rolled, suspended):
        assert len({one.message for one in phase}) == len(phase)


def test_routers_that_are_not_ready_yet_are_one_normal_event():
    cluster = Cluster.of({"replicas": 1})
    assert written(cluster) == [Event("RouterNotReady", "no router pod is ready")]


def test_a_refusal_is_one_warning_however_many_conditions_report_it():
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK})
    cluster.live(4)
    cluster.pods = {}
    (found,) = written(cluster, [Rejection("QuotaExceeded", "exceeded quota: gpus")])
    assert found == Event("QuotaExceeded", "exceeded quota: gpus", is_warning=True)
    assert written(cluster, [Rejection("QuotaExceeded", "exceeded quota: gpus")]) == []


def test_a_failing_pod_is_one_warning_and_its_recovery_one_event():
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK})
    cluster.live(4)
    (name,) = cluster.pods
    cluster.fault(name, num_restarts=0)
    assert [(one.reason, one.is_warning) for one in written(cluster)] == [("GPUFault", True)]
    cluster.load()
    assert [one.reason for one in written(cluster)] == ["AllReady"]


def test_an_avoided_node_is_a_warning_and_its_return_is_not():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK}, places=PLACES, num_gpus=1)
    cluster.live(4)
    (name,) = (name for name, pod in cluster.pods.items() if pod.node == "node-1")
    cluster.fault(name)
    checkpoint = status.checkpoint(cluster.status, cluster.decide())
    (avoided,) = events.events(cluster.status, checkpoint)
    assert (avoided.reason, avoided.is_warning) == ("NodeAvoided", True)
    assert "Xid 79" in avoided.message
    (back,) = events.events(checkpoint, cluster.status)
    assert (back.reason, back.is_warning) == ("NodeReadmitted", False)
