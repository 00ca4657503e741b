"""Who may connect to server pods and to routers."""

from dataclasses import replace

import pytest
from control_plane.deployments import deployment
from control_plane.network_deployments import OFFICE, TEAM
from fakes.clusters import RELEASE

from flamingo_operator.api import spec
from flamingo_operator.manifests import network_policies

ROUTERS = {
    "podSelector": {
        "matchLabels": {"flamingo.dev/deployment": "music", "flamingo.dev/component": "router"}
    }
}
OPERATOR = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "flamingo-system"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/component": "operator"}},
}
SCRAPERS = {
    "namespaceSelector": {
        "matchExpressions": [
            {
                "key": "kubernetes.io/metadata.name",
                "operator": "In",
                "values": ["monitoring", "observability"],
            }
        ]
    }
}
SCRAPED = replace(RELEASE, scraper_namespaces=("monitoring", "observability"))


def sources(given, release=SCRAPED):
    """Return who may connect to the pods of each policy; None if everyone may."""
    made = network_policies.network_policies(spec.parse(deployment(given)), release)
    return {one["metadata"]["name"]: one["spec"]["ingress"][0].get("from") for one in made}


def test_server_pods_admit_routers_operator_and_the_scrapers_of_this_installation():
    assert sources({}) == {
        "music-servers": [ROUTERS, OPERATOR, SCRAPERS],
        "music-router": None,
    }


def test_an_installation_without_scrapers_admits_none():
    assert sources({}, RELEASE)["music-servers"] == [ROUTERS, OPERATOR]


@pytest.mark.parametrize("scrapers", [[], [TEAM, OFFICE]])
def test_scrapers_of_a_spec_replace_those_of_the_installation(scrapers):
    found = sources({"networkPolicy": {"scrapers": scrapers}})
    assert found["music-servers"] == [ROUTERS, OPERATOR, *scrapers]


def test_routers_that_admit_only_clients_still_admit_who_reads_load_and_metrics():
    found = sources({"networkPolicy": {"clients": [TEAM]}})
    assert found["music-router"] == [TEAM, OPERATOR, SCRAPERS]
    assert TEAM not in found["music-servers"]


def test_routers_with_api_keys_admit_each_other():
    auth = {"keysSecretRef": {"name": "keys"}, "observeKeySecretRef": {"name": "keys"}}
    found = sources({"auth": auth, "networkPolicy": {"clients": [TEAM]}})
    assert found["music-router"] == [TEAM, ROUTERS, OPERATOR, SCRAPERS]
    assert sources({"auth": auth})["music-router"] is None


def test_server_clients_reach_server_pods_beside_the_routers():
    found = sources({"networkPolicy": {"serverClients": [OFFICE]}})
    assert found["music-servers"] == [ROUTERS, OFFICE, OPERATOR, SCRAPERS]


@pytest.mark.parametrize(
    ("policy", "expected"), [({}, None), ({"clients": [TEAM]}, [TEAM, OPERATOR, SCRAPERS])]
)
def test_without_routers_clients_reach_the_server_pods(policy, expected):
    found = sources({"router": {"enabled": False}, "networkPolicy": policy})
    assert found == {"music-servers": expected}


def test_without_policies_there_are_none():
    assert sources({"networkPolicy": {"enabled": False}}) == {}


def test_a_selector_of_everything_stays_one():
    everything = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "vm"}}}
    found = sources({"networkPolicy": {"scrapers": [everything]}})
    assert found["music-servers"][-1] == everything


@pytest.mark.parametrize("release", [RELEASE, SCRAPED])
def test_the_installation_can_be_read_from_a_policy(release):
    given = {"networkPolicy": {"serverClients": [TEAM, OFFICE]}}
    peers = sources(given, release)["music-servers"]
    assert network_policies.operator_namespace(peers) == release.operator_namespace
    assert network_policies.scraper_namespaces(peers) == release.scraper_namespaces
