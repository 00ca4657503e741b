"""Manifests of all objects of a FlamingoDeployment except server pods and revisions.

Pure.
"""

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.manifests import (
    batches,
    common,
    disruption_limits,
    inference_pool,
    network_policies,
    pod_monitor,
    pod_template,
    preload,
    router,
    router_service,
    routes,
)
from flamingo_operator.manifests.common import Manifest, Release


def build_manifests(
    deployment: FlamingoDeployment, release: Release, num_servers: int
) -> list[Manifest]:
    """Return the manifests in the order in which they are applied.

    They include those of optional kinds, whether or not the API server serves them.
    `num_servers` is the desired number of server pods.
    """
    manifests = [
        _service_account(deployment),
        _servers_service(deployment),
        _disruption_budget(deployment, num_servers),
        *network_policies.network_policies(deployment, release),
        *preload.cache_manifests(deployment, release),
        *(_routers(deployment, release) if deployment.spec.router.enabled else []),
        *(batches.manifests(deployment, release) if deployment.spec.batches else []),
        *inference_pool.inference_pools(deployment),
        *pod_monitor.pod_monitors(deployment),
    ]
    return [common.without_empty(manifest) for manifest in manifests]


def _routers(deployment: FlamingoDeployment, release: Release) -> list[Manifest]:
    service = router_service.service(deployment)
    return [service, *router.router_manifests(deployment, release), *routes.routes(deployment)]


def initial_fields(deployment: FlamingoDeployment, manifest: Manifest) -> Manifest:
    """Return the fields that an object gets when it is created, and that others may set then."""
    if manifest["kind"] == "Deployment" and "replicas" not in manifest["spec"]:
        return {"spec": {"replicas": router.initial_replicas(deployment.spec.router)}}
    return {}


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


def _disruption_budget(deployment: FlamingoDeployment, num_servers: int) -> Manifest:
    name = deployment.metadata.name
    # A draining pod does not count, so that it does not block the drain of its node.
    selector = names.selector(name, "server") | {names.SERVING_LABEL: "true"}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": common.metadata(deployment, names.disruption_budget(name), "server"),
        "spec": {
            **disruption_limits.server_limit(deployment.spec, num_servers),
            "selector": {"matchLabels": selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
