"""EndpointSlices: which addresses are members, and which of them may get requests."""

import pytest
from fakes.kube import endpoint_slice

from flamingo_router.pods.endpoint_slices import Service, SliceCache

A, B = "http://10.0.0.1:8000", "http://10.0.0.2:8000"


def members(*slices, port=""):
    known = SliceCache()
    known.replace(slices)
    return known.members(port)


def test_every_ready_address_of_every_slice_is_a_member():
    found = members(
        endpoint_slice("a", "10.0.0.1", ready=True), endpoint_slice("b", "10.0.0.2", ready=True)
    )
    assert found == {A: True, B: True}


@pytest.mark.parametrize(
    ("conditions", "is_open"),
    [
        ({}, True),
        ({"ready": None}, True),
        ({"ready": True}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, False),
        ({"ready": True, "terminating": True}, False),
    ],
)
def test_conditions_decide_who_gets_requests(conditions, is_open):
    assert members(endpoint_slice("a", "10.0.0.1", **conditions)) == {A: is_open}


def test_the_port_is_chosen_by_its_name():
    one = endpoint_slice("a", "10.0.0.1", port_name="metrics", port=9000)
    one["ports"].append({"name": "http", "port": 8000})

    assert members(one, port="http") == {A: True}
    assert members(one) == {"http://10.0.0.1:9000": True}
    assert members(one, port="other") == {}


def test_a_pod_with_two_kinds_of_address_counts_once():
    both = [endpoint_slice("a", "10.0.0.1"), endpoint_slice("b", "fd00::1", kind="IPv6")]

    assert members(*both) == {A: True}
    assert members(both[1]) == {"http://[fd00::1]:8000": True}


@pytest.mark.parametrize("missing", ["endpoints", "ports"])
def test_a_slice_without_content_is_no_member(missing):
    one = endpoint_slice("a", "10.0.0.1")
    one[missing] = None
    assert members(one) == {}


@pytest.mark.parametrize("text", ["", "pods", "a/", "/b", "a/b/c"])
def test_an_invalid_service_is_refused(text):
    with pytest.raises(ValueError, match="is not a valid service"):
        Service.parse(text)


def test_a_service_may_name_its_port():
    assert Service.parse("music/pods:http") == Service("music", "pods", "http")
