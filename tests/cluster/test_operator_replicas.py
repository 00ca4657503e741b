"""The operator's own pods: another release takes over, and so does the other replica."""

import os
import signal

import pytest
from cluster import charts
from cluster.fleets import NAME, process_of
from cluster.images import VERSION
from control_plane.operators import wait_until

NEXT = f"{VERSION}-2"
VALUES = {name: {"tag": NEXT} for name in ("image", "serverImage", "routerImage", "batchesImage")}


@pytest.fixture(scope="module")
def fleet(outside):
    return outside.fleet


@pytest.fixture(scope="module")
def following(fleet, built):
    """Return the images of the next release, which the node has."""
    names = {name: image.replace(VERSION, NEXT) for name, image in built.items()}
    return {name: fleet.cluster.tagged(built[name], image) for name, image in names.items()}


def routers_are(fleet, image):
    wait_until(lambda: fleet.images_of("router") == {image}, "routers are the release's")


def test_another_release_of_the_operator_restarts_no_server(
    outside, fleet, built, following, clips
):
    servers, routers = fleet.names(), fleet.images_of("router")
    with outside.traffic(clips["drums.wav"]) as asked:
        charts.upgrade_operator(fleet.cluster, VALUES)
        routers_are(fleet, following["router"])
    assert routers == {built["router"]}
    assert fleet.names() == servers
    assert fleet.images_of("server") == {built["pod"]}
    assert asked.failures == []


def test_the_release_before_it_takes_over_again(outside, fleet, built, clips):
    servers = fleet.names()
    with outside.traffic(clips["drums.wav"]) as asked:
        charts.rollback(fleet.cluster, charts.NAME, charts.HOME)
        routers_are(fleet, built["router"])
    assert fleet.names() == servers
    assert asked.failures == []


def test_where_the_leader_is_killed_the_other_replica_takes_over(outside, fleet, clips):
    leader = holder(fleet)
    pod = fleet.cluster.get(charts.HOME, "pod", leader)
    with outside.traffic(clips["drums.wav"]) as asked:
        # Stopped, it cannot hand over before the kubelet kills it.
        os.kill(process_of(pod), signal.SIGSTOP)
        fleet.cluster.delete(charts.HOME, "pod", leader, is_forced=True)
        fleet.kubectl("scale", "fd", NAME, "--replicas=2")
        fleet.wait_complete(2)
    assert holder(fleet) != leader
    assert asked.failures == []
    fleet.kubectl("scale", "fd", NAME, "--replicas=1")
    fleet.wait_complete(1)


def holder(fleet):
    """Return the pod that leads."""
    (lease,) = fleet.cluster.get(charts.HOME, "leases")["items"]
    # An identity is the pod's name and its process.
    return lease["spec"]["holderIdentity"].rpartition("-")[0]
