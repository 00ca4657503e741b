"""The status and the events for what changed in it."""

import pytest
from fakes.clusters import Cluster

from flamingo_operator.reporting import status

QUICK = {"minReadySeconds": 0}
PLACES = ("node-1", "node-2")


def scaled(old, new):
    return [one.message for one in status.events(old, new) if one.reason == "Scaled"]


def test_a_plan_scales_nothing_and_posts_no_event():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    before = cluster.status
    cluster.change(mode="Plan", replicas=3)
    cluster.operate()
    planned = cluster.status
    assert scaled(before, planned) == []
    broken = status.status_of_invalid_spec(9, ["no such field"], planned, cluster.now_s)
    assert scaled(planned, broken) == []
    # What was planned happens only now.
    cluster.change(mode="Apply")
    cluster.operate()
    assert scaled(planned, cluster.status) == ["scaled from 2 to 3 replicas"]
    assert scaled(before, cluster.status) == ["scaled from 2 to 3 replicas"]


def fleet(num=2, **kwargs):
    """Return a fleet whose servers run, one on each node."""
    given = {"places": PLACES, "num_gpus": 1, **kwargs}
    cluster = Cluster.of({"replicas": num, "rollout": QUICK}, **given)
    cluster.live(4)
    return cluster


def on(cluster, node):
    (name,) = (name for name, pod in cluster.pods.items() if pod.node == node)
    return name


def test_an_avoided_node_is_in_the_status_before_its_pod_is_deleted():
    cluster = fleet()
    cluster.fault(on(cluster, "node-1"))
    checkpoint = status.checkpoint(cluster.status, cluster.decide())
    assert [one["node"] for one in checkpoint["avoidedNodes"]] == ["node-1"]
    told = list(status.events(cluster.status, checkpoint))
    assert [(one.reason, one.is_warning) for one in told] == [("NodeAvoided", True)]
    assert "Xid 79" in told[0].message
    back = list(status.events(checkpoint, cluster.status))
    assert [(one.reason, one.is_warning) for one in back] == [("NodeReadmitted", False)]
    assert status.checkpoint({}, cluster.decide()) == {}


@pytest.mark.parametrize(
    ("router", "url"),
    [
        ({}, "http://music.default.svc"),
        ({"service": {"port": 8080}}, "http://music.default.svc:8080"),
        ({"enabled": False}, "http://music-servers.default.svc:8000"),
    ],
)
def test_the_url_in_the_status_is_that_of_the_service_that_responds(router, url):
    cluster = Cluster.of({"router": router})
    cluster.operate()
    assert cluster.status["url"] == url
