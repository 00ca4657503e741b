"""The operator's own pods: another release takes over, and so does the other replica."""

import os
import signal

import pytest
from cluster import installed
from cluster.fleets import process_of
from cluster.traffic import traffic
from control_plane.operators import wait_until


@pytest.fixture(scope="module")
def fleet(fleet_in):
    made = fleet_in("kept")
    made.launch()
    return made


def test_another_release_of_the_operator_restarts_no_server(fleet, built, clips):
    following = {name: fleet.cluster.tagged(image, f"{image}-2") for name, image in built.items()}
    servers, routers = fleet.names(), fleet.images_of("router")
    with traffic(fleet.cluster, fleet.address, clips["drums.wav"]) as asked:
        installed.apply(fleet.cluster, installed.deployment(following))
        installed.wait_rolled_out(fleet.cluster)
        wait_until(
            lambda: fleet.images_of("router") == {following["router"]}, "routers are the release's"
        )
    assert routers == {built["router"]}
    assert fleet.names() == servers
    assert fleet.images_of("server") == {built["pod"]}
    assert asked.failures == []


def test_where_the_leader_is_killed_the_other_replica_takes_over(fleet):
    leader = holder(fleet)
    pod = fleet.cluster.get(installed.HOME, "pod", leader)
    # Stopped, it cannot hand over before the kubelet kills it.
    os.kill(process_of(pod), signal.SIGSTOP)
    fleet.cluster.delete(installed.HOME, "pod", leader, is_forced=True)
    fleet.kubectl("scale", "fd", "music", "--replicas=2")
    fleet.wait_complete(2)
    assert holder(fleet) != leader


def holder(fleet):
    """Return the pod that leads."""
    (lease,) = fleet.cluster.get(installed.HOME, "leases")["items"]
    # An identity is the pod's name and its process.
    return lease["spec"]["holderIdentity"].rpartition("-")[0]
