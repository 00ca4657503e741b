"""Manifests of the Ingress and the HTTPRoute, which lead from outside the cluster to the routers.

Pure.
"""

from typing import Any

from flamingo_operator.api import names
from flamingo_operator.api.routes import HTTPRoute, Ingress
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.manifests import common
from flamingo_operator.manifests.common import Manifest


def routes(deployment: FlamingoDeployment) -> list[Manifest]:
    """Return the Ingress and the HTTPRoute that the spec asks for."""
    router = deployment.spec.router
    found = []
    if router.ingress is not None:
        found.append(_ingress(deployment, router.ingress))
    if router.http_route is not None:
        found.append(_http_route(deployment, router.http_route))
    return found


def _metadata(deployment: FlamingoDeployment, settings: Ingress | HTTPRoute) -> Manifest:
    metadata = common.metadata(deployment, names.service(deployment.metadata.name), "router")
    common.merge_metadata(metadata, common.added_metadata(settings))
    return metadata


def _ingress(deployment: FlamingoDeployment, settings: Ingress) -> Manifest:
    backend = {"service": {"name": _service(deployment), "port": {"name": "http"}}}
    path = {"path": settings.path, "pathType": settings.path_type, "backend": backend}
    hosts: list[dict[str, Any]] = [{"host": host} for host in settings.hosts] or [{}]
    tls: dict[str, Any] = {"hosts": list(settings.hosts), "secretName": settings.tls_secret_name}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": _metadata(deployment, settings),
        "spec": {
            "ingressClassName": settings.ingress_class_name,
            "rules": [{**host, "http": {"paths": [path]}} for host in hosts],
            "tls": [tls] if settings.tls_secret_name else [],
        },
    }


def _http_route(deployment: FlamingoDeployment, settings: HTTPRoute) -> Manifest:
    gateway = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    backend = {
        "group": "",
        "kind": "Service",
        "name": _service(deployment),
        "port": deployment.spec.router.service.port,
        "weight": 1,
    }
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": settings.path}}],
        "filters": [] if settings.path == "/" else [_remove_path()],
        "backendRefs": [backend],
        "timeouts": _dump(settings.timeouts) if settings.timeouts else None,
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": _metadata(deployment, settings),
        "spec": {
            "parentRefs": [{**gateway, **_dump(one)} for one in settings.parent_refs],
            "hostnames": list(settings.hostnames),
            "rules": [rule],
        },
    }


def _remove_path() -> Manifest:
    path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    return {"type": "URLRewrite", "urlRewrite": {"path": path}}


def _service(deployment: FlamingoDeployment) -> str:
    return names.service(deployment.metadata.name)


def _dump(block: Any) -> Manifest:
    found: Manifest = block.model_dump(by_alias=True, exclude_none=True)
    return found
