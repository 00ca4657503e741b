"""Where the fleet is reachable, and what keeps it from being so."""

from dataclasses import replace

import pytest
from control_plane.network_deployments import NETWORKED
from fakes.clusters import Cluster

from flamingo_operator.alias_service import AliasDecision
from flamingo_operator.cluster.exposure import Exposure, ParentStatus
from flamingo_operator.reporting import exposure
from flamingo_operator.reporting.condition_inputs import ConditionInputs
from flamingo_operator.reporting.conditions import compute_conditions

PUBLISHED = Exposure(addresses=("192.0.2.1",))
EDGE, INNER = ParentStatus("gateways", "edge", "https"), ParentStatus("", "inner")
ROUTE = {"httpRoute": NETWORKED["router"]["httpRoute"]}
BALANCED = {"service": {"type": "LoadBalancer"}}
ALIAS = {"service": {"alias": "audio"}}


def inputs(spec, reported=(), **decided):
    """Return what is observed after the operator's first actions and the given reports."""
    cluster = Cluster.of(spec)
    cluster.operate()
    owned = dict(cluster.observed.owned)
    for kind, found in dict(reported).items():
        owned[kind, "music"] = replace(owned[kind, "music"], exposure=found)
    decision = replace(cluster.decide(), **decided)
    return ConditionInputs(cluster.deployment, replace(cluster.observed, owned=owned), decision)


def condition(*given, **decided):
    found = {one.type: one for one in compute_conditions(inputs(*given, **decided))}
    return found.get("Exposed")


def test_a_fleet_that_is_only_reachable_in_the_cluster_has_no_such_condition():
    assert condition({}) is None
    assert list(exposure.addresses(inputs({}))) == []


@pytest.mark.parametrize(
    ("router", "kind", "waiting"),
    [(BALANCED, "Service", "AddressPending"), ({"ingress": {}}, "Ingress", "AddressPending")],
)
def test_an_address_is_waited_for_and_reported(router, kind, waiting):
    assert condition({"router": router}).reason == waiting
    published = ({"router": router}, {kind: PUBLISHED})
    assert condition(*published).reason == "Reachable"
    (address,) = exposure.addresses(inputs(*published))
    assert (address.kind, address.value) == (kind, "192.0.2.1")


@pytest.mark.parametrize(
    ("port", "address", "expected"),
    [
        (80, "2001:db8::1", "[2001:db8::1]"),
        (8080, "2001:db8::1", "[2001:db8::1]:8080"),
        (443, "lb.example.com", "lb.example.com:443"),
    ],
)
def test_a_port_that_is_not_the_default_is_part_of_the_address(port, address, expected):
    service = {"service": {"type": "LoadBalancer", "port": port}}
    (found,) = exposure.addresses(
        inputs({"router": service}, {"Service": Exposure(addresses=(address,))})
    )
    assert found.value == expected


@pytest.mark.parametrize(
    ("parents", "reason"),
    [
        ((), "RoutePending"),
        ((EDGE,), "RoutePending"),
        ((EDGE, replace(INNER, refusal="NotAllowedByListeners: no")), "NotAccepted"),
        ((EDGE, INNER), "Reachable"),
    ],
)
def test_every_gateway_of_a_route_must_accept_it(parents, reason):
    reported = {"HTTPRoute": Exposure(parents=parents)}
    assert condition({"router": ROUTE}, reported).reason == reason
    is_reachable = any(not one.refusal for one in parents)
    found = list(exposure.addresses(inputs({"router": ROUTE}, reported)))
    assert [one.value for one in found] == ["audio.example.com/music"] * is_reachable


def test_a_pool_that_a_gateway_refuses_is_reported():
    pool = {
        "networkPolicy": NETWORKED["networkPolicy"],
        "inferencePool": NETWORKED["inferencePool"],
    }
    refused = replace(EDGE, refusal="InvalidExtensionRef: no such picker")
    assert condition(pool).reason == "Reachable"
    found = condition(pool, {"InferencePool": Exposure(parents=(refused,))})
    assert found.reason == "NotAccepted"
    assert "Gateway gateways/edge does not serve InferencePool music" in found.message


def test_a_kind_that_is_not_served_counts_before_everything_else():
    unavailable = {"HTTPRoute": "the API server does not serve it"}
    found = condition({"router": {**BALANCED, **ROUTE}}, unavailable=unavailable)
    assert found.reason == "KindUnavailable"
    assert found.message.startswith("HTTPRoute is needed: the API server does not serve it: ")


@pytest.mark.parametrize(
    ("state", "reason"),
    [("Held", "Reachable"), ("Waiting", "AliasPending"), ("Taken", "AliasTaken")],
)
def test_clients_are_told_to_call_an_alias_once_it_is_held(state, reason):
    decided = {"alias": AliasDecision(state, "why")}
    assert condition({"router": ALIAS}, **decided).reason == reason
    called = exposure.url_service(inputs({"router": ALIAS}, **decided))
    assert called == ("audio" if state == "Held" else "music")


def test_an_alias_that_could_not_be_created_is_not_the_address():
    given = inputs({"router": ALIAS})
    owned = {key: one for key, one in given.observed.owned.items() if key[1] != "audio"}
    rejected = replace(given, observed=replace(given.observed, owned=owned))
    assert exposure.url_service(rejected) == "music"
    assert [one.reason for one in exposure.obstacles(rejected)] == ["AliasPending"]
