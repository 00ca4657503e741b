"""What gateways and load balancers report."""

import pytest

from flamingo_operator.cluster.exposure import NOT_EXPOSED, Exposure, ParentStatus, parse_exposure

EDGE = {"kind": "Gateway", "namespace": "gateways", "name": "edge", "sectionName": "https"}


def parsed(status, *, generation=3):
    return parse_exposure({"metadata": {"generation": generation}, "status": status})


def condition(kind="Accepted", status="True", *, seen=3, reason="Accepted", message=""):
    fields = {"type": kind, "status": status, "reason": reason, "message": message}
    return fields | ({"observedGeneration": seen} if seen else {})


def attached(*conditions):
    return parsed({"parents": [{"parentRef": EDGE, "conditions": list(conditions)}]}).parents


def test_the_addresses_of_a_load_balancer_are_numbers_or_names():
    ingress = [{"ip": "192.0.2.1"}, {"hostname": "lb.example.com"}, {}]
    found = parsed({"loadBalancer": {"ingress": ingress}})
    assert found == Exposure(addresses=("192.0.2.1", "lb.example.com"))


@pytest.mark.parametrize("status", [None, {}, {"loadBalancer": {}}, {"parents": None}])
def test_what_nobody_reported_on_is_not_exposed(status):
    assert parsed(status) == NOT_EXPOSED


@pytest.mark.parametrize("seen", [3, None])
def test_a_gateway_that_accepts_is_named(seen):
    accepted = condition(seen=seen)
    assert attached(accepted) == (ParentStatus("gateways", "edge", "https"),)


@pytest.mark.parametrize("kind", ["Accepted", "ResolvedRefs"])
def test_a_refusal_is_kept_in_the_words_of_the_gateway(kind):
    refused = condition(kind, "False", reason="NotAllowedByListeners", message="no such host")
    (parent,) = attached(*{"Accepted": condition(), kind: refused}.values())
    assert parent.refusal == "NotAllowedByListeners: no such host"


@pytest.mark.parametrize(
    "old", [condition(seen=2), condition(status="Unknown"), condition("Other")]
)
def test_what_a_gateway_has_not_judged_yet_is_not_reported(old):
    assert attached(old) == ()
