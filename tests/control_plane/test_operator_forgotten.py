"""An API server that loses events and returns errors: only kmock's can do that on request."""

import pytest
from control_plane.operators import wait_until
from fakes.kmock_cluster import KmockCluster

NUM_PLACES = 2


@pytest.fixture(scope="module")
def control_plane():
    with KmockCluster().running() as cluster:
        yield cluster


def test_what_was_changed_without_an_event_is_found(fleet):
    before = fleet.objects()
    with fleet.cluster.unseen():
        fleet.delete("services", "music-servers")
        fleet.change({"replicas": 3})
    fleet.wait_complete(3)
    wait_until(lambda: fleet.objects().keys() >= before.keys(), "the service is there again")


def test_a_request_that_got_429_is_sent_again(place):
    refused = place.cluster.refuse(f"post /api/v1/namespaces/{place.namespace}/pods", 429, 3)
    place.create({"replicas": 2})
    place.wait_complete(2)
    assert len(refused) == 3
