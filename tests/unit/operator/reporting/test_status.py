"""The status."""

import pytest
from fakes.clusters import Cluster

from flamingo_operator.reporting import status

QUICK = {"minReadySeconds": 0}
PLACES = ("node-1", "node-2")


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
