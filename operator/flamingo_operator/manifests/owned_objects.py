"""Spec → every object of a deployment but its pods and their templates.

Pure.
"""

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.manifests import auth_volumes, common, pod_template, preload, router
from flamingo_operator.manifests.common import Manifest, Release


def build_manifests(
    deployment: FlamingoDeployment, release: Release, *, has_pod_monitors: bool
) -> list[Manifest]:
    """Return the objects in the order in which they are applied."""
    made = [
        _service_account(deployment),
        _servers_service(deployment),
        _disruption_budget(deployment),
        _network_policy(deployment, release),
        *preload.cache_manifests(deployment, release),
        *(router.router_manifests(deployment, release) if deployment.spec.router.enabled else []),
        *([_pod_monitor(deployment)] if has_pod_monitors else []),
    ]
    return [common.without_empty(manifest) for manifest in made]


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
    name, given = deployment.metadata.name, deployment.spec.pdb
    bound = given.model_dump(by_alias=True, exclude_none=True) if given else {"maxUnavailable": 1}
    # A pod that drains already is no reason to keep a node: it is not counted.
    selector = names.selector(name, "server") | {names.SERVING_LABEL: "true"}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": common.metadata(deployment, names.disruption_budget(name), "server"),
        "spec": {
            **_for_bare_pods(deployment, bound),
            "selector": {"matchLabels": selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _for_bare_pods(deployment: FlamingoDeployment, bound: dict[str, int]) -> dict[str, int]:
    """Return the bound as one that needs no scale subresource of the pods' owner to be known.

    The disruption controller finds ours through the CRD's scale subresource, so
    either form works; in mode Internal that subresource says `replicas`, which
    nobody steers, so a count of available servers is said instead.
    """
    scaling = deployment.spec.scaling
    if scaling.mode == "External" or "minAvailable" in bound:
        return bound
    return {"minAvailable": max(0, scaling.min_replicas - bound["maxUnavailable"])}


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
    # Without a router, clients call the servers, and we do not know who they are.
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
