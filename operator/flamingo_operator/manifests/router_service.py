"""Manifests of the Service that clients call, and of its alias.

Pure.
"""

from collections.abc import Iterable

from flamingo_operator.api import names
from flamingo_operator.api.router_service import RouterService
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.manifests import common
from flamingo_operator.manifests.common import Manifest


def service(deployment: FlamingoDeployment) -> Manifest:
    """Return the Service of the routers; it is internal if clients call an alias instead."""
    settings, name = deployment.spec.router.service, deployment.metadata.name
    if settings.alias is not None:
        internal = {"port": settings.port, "ipFamilyPolicy": settings.ip_family_policy}
        settings = RouterService.model_validate(internal)
    return _service(deployment, names.service(name), settings)


def alias(deployment: FlamingoDeployment, claimants: Iterable[Manifest]) -> Manifest:
    """Return the alias Service.

    `claimants` are the owner references of other FlamingoDeployments that claim it. They
    become owners, too: then the Service is not deleted with the one that has it, and moves.
    """
    settings = deployment.spec.router.service
    manifest = _service(deployment, settings.alias or "", settings)
    manifest["metadata"]["ownerReferences"] += claimants
    return common.without_empty(manifest)  # type: ignore[no-any-return]


def _service(deployment: FlamingoDeployment, name: str, settings: RouterService) -> Manifest:
    metadata = common.metadata(deployment, name, "router")
    common.merge_metadata(metadata, common.added_metadata(settings))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": settings.type,
            "selector": names.selector(deployment.metadata.name, "router"),
            "ports": [
                {"name": "http", "port": settings.port, "protocol": "TCP", "targetPort": "http"}
            ],
            "loadBalancerClass": settings.load_balancer_class,
            "loadBalancerSourceRanges": list(settings.load_balancer_source_ranges),
            "externalTrafficPolicy": settings.external_traffic_policy,
            "ipFamilyPolicy": settings.ip_family_policy,
        },
    }
