"""The Service of the routers, and its alias."""

import pytest
from control_plane.deployments import deployment
from control_plane.network_deployments import BALANCED

from flamingo_operator.api import spec
from flamingo_operator.manifests import common, router_service

OTHER = {"apiVersion": "flamingo.dev/v1alpha1", "kind": "FlamingoDeployment", "uid": "u-2"}


def parsed(**service):
    return spec.parse(deployment({"router": {"service": service}}))


def test_the_service_has_all_that_the_spec_says_about_it():
    fields = {key: value for key, value in BALANCED.items() if key != "alias"}
    made = common.without_empty(router_service.service(parsed(**fields)))
    assert made["metadata"]["name"] == "music"
    assert made["metadata"]["labels"]["team"] == "audio"
    assert made["metadata"]["annotations"] == {"a.example/b": "c"}
    assert made["spec"]["ports"][0]["port"] == 443
    for field in (
        "type",
        "loadBalancerClass",
        "loadBalancerSourceRanges",
        "externalTrafficPolicy",
        "ipFamilyPolicy",
    ):
        assert made["spec"][field] == BALANCED[field]


def test_an_alias_is_exposed_in_place_of_the_service():
    given = parsed(**BALANCED)
    own = common.without_empty(router_service.service(given))
    alias = router_service.alias(given, [OTHER])
    assert (own["metadata"]["name"], own["spec"]["type"]) == ("music", "ClusterIP")
    assert "annotations" not in own["metadata"]
    assert (alias["metadata"]["name"], alias["spec"]["type"]) == ("audio", "LoadBalancer")
    assert alias["spec"]["loadBalancerClass"] == BALANCED["loadBalancerClass"]
    assert own["spec"]["selector"] == alias["spec"]["selector"]
    assert own["spec"]["ports"] == alias["spec"]["ports"]


def test_who_claims_an_alias_becomes_an_owner_too():
    owners = router_service.alias(parsed(alias="audio"), [OTHER])["metadata"]["ownerReferences"]
    assert [one.get("controller", False) for one in owners] == [True, False]


@pytest.mark.parametrize("fields", [{}, {"type": "NodePort"}])
def test_what_is_unset_is_left_to_the_api_server(fields):
    made = common.without_empty(router_service.service(parsed(**fields)))
    assert made["spec"].keys() == {"type", "selector", "ports"}
