"""Manifests of all objects of a FlamingoDeployment except server pods and revisions.

Pure.
"""

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.manifests import auth_volumes, common, pod_template, preload, router
from flamingo_operator.manifests.common import Manifest, Release


def build_manifests(
    deployment: FlamingoDeployment, release: Release, *, has_pod_monitors: bool
) -> list[Manifest]:
    """Return the manifests in the order in which they are applied."""
    manifests = [
        _service_account(deployment),
        _servers_service(deployment),
        _disruption_budget(deployment),
        _network_policy(deployment, release),
        *preload.cache_manifests(deployment, release),
        *(router.router_manifests(deployment, release) if deployment.spec.router.enabled else []),
        *([_pod_monitor(deployment)] if has_pod_monitors else []),
    ]
    return [common.without_empty(manifest) for manifest in manifests]


def _service_account(deployment: FlamingoDeployment) -> Manifest:
    name = f"{deployment.metadata.name}-{pod_template.SERVICE_ACCOUNT}"
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": common.metadata(deployment, name, "server"),
        "automountServiceAccountToken": False,
    }


def _servers_service(deployment: FlamingoDeployment) -> Manifest:
    name = deployment.metadata.name
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": common.metadata(deployment, names.servers_service(name), "server"),
        "spec": {
            "clusterIP": "None",
            "selector": names.selector(name, "server") | {names.SERVING_LABEL: "true"},
            "ports": [
                {"name": "http", "port": common.PORT, "protocol": "TCP", "targetPort": "http"}
            ],
        },
    }


def _disruption_budget(deployment: FlamingoDeployment) -> Manifest:
    name, pdb = deployment.metadata.name, deployment.spec.pdb
    limit = pdb.model_dump(by_alias=True, exclude_none=True) if pdb else {"maxUnavailable": 1}
    # A draining pod does not count, so that it does not block the drain of its node.
    selector = names.selector(name, "server") | {names.SERVING_LABEL: "true"}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": common.metadata(deployment, names.disruption_budget(name), "server"),
        "spec": {
            **_limit_for_mode(deployment, limit),
            "selector": {"matchLabels": selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _limit_for_mode(deployment: FlamingoDeployment, limit: dict[str, int]) -> dict[str, int]:
    """Return the limit in the form that works in the scaling mode.

    For maxUnavailable, the disruption controller reads the desired number from the scale
    subresource of the pods' controller. In mode Internal that is `spec.replicas`, which is
    not used, so minAvailable is set instead.
    """
    scaling = deployment.spec.scaling
    if scaling.mode == "External" or "minAvailable" in limit:
        return limit
    return {"minAvailable": max(0, scaling.min_replicas - limit["maxUnavailable"])}


def _network_policy(deployment: FlamingoDeployment, release: Release) -> Manifest:
    name = deployment.metadata.name
    operator = {
        "namespaceSelector": {
            "matchLabels": {"kubernetes.io/metadata.name": release.operator_namespace}
        },
        "podSelector": {"matchLabels": {"app.kubernetes.io/component": "operator"}},
    }
    prometheus = {
        "namespaceSelector": {},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
    }
    callers = [
        {"podSelector": {"matchLabels": names.selector(name, "router")}},
        operator,
        prometheus,
    ]
    # Without routers, clients call the server pods, and their origin is unknown.
    ingress: Manifest = {"from": callers} if deployment.spec.router.enabled else {}
    ingress["ports"] = [{"port": "http", "protocol": "TCP"}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": common.metadata(deployment, f"{name}-servers", "server"),
        "spec": {
            "podSelector": {"matchLabels": names.selector(name, "server")},
            "policyTypes": ["Ingress"],
            "ingress": [ingress],
        },
    }


def _pod_monitor(deployment: FlamingoDeployment) -> Manifest:
    name = deployment.metadata.name
    endpoint = {
        "port": "http",
        "path": "/metrics",
        **auth_volumes.pod_monitor_authorization(deployment.spec.auth),
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": common.metadata(deployment, name, "server"),
        "spec": {
            "selector": {"matchLabels": {names.DEPLOYMENT_LABEL: name}},
            "podMetricsEndpoints": [endpoint],
        },
    }
