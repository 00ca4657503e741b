"""An API server that forgets and refuses: what only kmock's can be told to do."""

import pytest
from control_plane.operators import wait_until
from fakes.kmock_cluster import KmockCluster

NUM_PLACES = 2


@pytest.fixture(scope="module")
def control_plane():
    with KmockCluster().running() as cluster:
        yield cluster


def test_what_happened_while_the_api_server_forgot_is_found(fleet):
    before = fleet.objects()
    with fleet.cluster.unseen():
        fleet.delete("services", "music-servers")
        fleet.change({"replicas": 3})
    fleet.wait_complete(3)
    wait_until(lambda: fleet.objects().keys() >= before.keys(), "the service is there again")


def test_what_the_api_server_is_too_busy_for_is_asked_again(place):
    refused = place.cluster.refuse(f"post /api/v1/namespaces/{place.namespace}/pods", 429, 3)
    place.create({"replicas": 2})
    place.wait_complete(2)
    assert len(refused) == 3
