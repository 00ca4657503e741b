"""Manifests of the NetworkPolicies: who may connect to server pods, routers and batches.

Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flamingo_operator.api import names
from flamingo_operator.api.names import Component
from flamingo_operator.api.network_policy import NetworkPolicyPeer
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.manifests import common
from flamingo_operator.manifests.common import Manifest, Release

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Label of a namespace that the API server sets to its name."""
_OPERATOR = {"matchLabels": {"app.kubernetes.io/component": "operator"}}


def network_policies(deployment: FlamingoDeployment, release: Release) -> list[Manifest]:
    """Return the policies of server pods, of routers and of batches, if they are enabled."""
    if not deployment.spec.network_policy.enabled:
        return []
    policies = [_policy(deployment, "server", _server_peers(deployment, release))]
    if deployment.spec.router.enabled:
        policies.append(_policy(deployment, "router", _router_peers(deployment, release)))
    if deployment.spec.batches is not None:
        peers = [_pods(deployment, "router"), *_scrapers(deployment, release)]
        policies.append(_policy(deployment, "batches", peers))
    return policies


def _server_peers(deployment: FlamingoDeployment, release: Release) -> list[Manifest]:
    """Return who may connect to the server pods; empty if everyone may."""
    policy = deployment.spec.network_policy
    direct = _peers(policy.server_clients)
    if deployment.spec.router.enabled:
        direct.insert(0, _pods(deployment, "router"))
    elif policy.clients is None:
        return []
    else:
        direct += _peers(policy.clients)
    return [*direct, *_observers(deployment, release)]


def _router_peers(deployment: FlamingoDeployment, release: Release) -> list[Manifest]:
    """Return who may connect to the routers; empty if everyone may."""
    clients = deployment.spec.network_policy.clients
    if clients is None:
        return []
    batches = [_pods(deployment, "batches")] if deployment.spec.batches is not None else []
    # With API keys, routers exchange what each key has spent of its limits.
    routers = [_pods(deployment, "router")] if deployment.spec.auth else []
    return [*_peers(clients), *routers, *batches, *_observers(deployment, release)]


def _pods(deployment: FlamingoDeployment, component: Component) -> Manifest:
    selector = names.selector(deployment.metadata.name, component)
    return {"podSelector": {"matchLabels": selector}}


def operator_namespace(peers: Iterable[Mapping[str, Any]]) -> str:
    """Return the operator's namespace that the peers of a policy name; empty if they name none."""
    selectors = (one["namespaceSelector"] for one in peers if one.get("podSelector") == _OPERATOR)
    return next((str(one["matchLabels"][NAMESPACE_NAME]) for one in selectors), "")


def scraper_namespaces(peers: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the namespaces of scrapers that the peers of a policy name."""
    for peer in peers:
        expressions = peer.get("namespaceSelector", {}).get("matchExpressions", ())
        for one in expressions if "podSelector" not in peer else ():
            if (one["key"], one["operator"]) == (NAMESPACE_NAME, "In"):
                return tuple(one["values"])
    return ()


def _observers(deployment: FlamingoDeployment, release: Release) -> list[Manifest]:
    """Return who reads load and metrics: the operator and Prometheus."""
    operator = {
        "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: release.operator_namespace}},
        "podSelector": _OPERATOR,
    }
    return [operator, *_scrapers(deployment, release)]


def _scrapers(deployment: FlamingoDeployment, release: Release) -> list[Manifest]:
    scrapers = deployment.spec.network_policy.scrapers
    if scrapers is not None:
        return _peers(scrapers)
    if not release.scraper_namespaces:
        return []
    namespaces = {
        "key": NAMESPACE_NAME,
        "operator": "In",
        "values": list(release.scraper_namespaces),
    }
    return [{"namespaceSelector": {"matchExpressions": [namespaces]}}]


def _peers(peers: Sequence[NetworkPolicyPeer]) -> list[Manifest]:
    return [one.model_dump(by_alias=True, exclude_defaults=True) for one in peers]


def _policy(
    deployment: FlamingoDeployment, component: Component, peers: list[Manifest]
) -> Manifest:
    name = deployment.metadata.name
    rule: Manifest = {"ports": [{"port": "http", "protocol": "TCP"}]}
    if peers:
        rule = {"from": peers, **rule}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": common.metadata(deployment, names.network_policy(name, component), component),
        "spec": {
            "podSelector": {"matchLabels": names.selector(name, component)},
            "policyTypes": ["Ingress"],
            "ingress": [rule],
        },
    }
