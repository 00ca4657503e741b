"""What all manifests share: metadata that ties an object to its deployment, and a safe container.

Every pod passes Pod Security's `restricted` level.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flamingo_operator.api import names
from flamingo_operator.api.names import Component
from flamingo_operator.api.spec import FlamingoDeployment

Manifest = dict[str, Any]

PORT = 8000
"""Where servers and routers listen."""
USER_ID = 10001
"""Of no account: images need not know it."""


@dataclass(frozen=True, slots=True)
class Release:
    """What this operator's release brings along."""

    server_image: str
    router_image: str
    operator_namespace: str


def metadata(deployment: FlamingoDeployment, name: str, component: Component) -> Manifest:
    """Return the metadata of an object that goes when its deployment goes."""
    return {
        "name": name,
        "namespace": deployment.metadata.namespace,
        "labels": names.labels(deployment.metadata.name, component),
        "ownerReferences": [owner_reference(deployment)],
    }


def merge_metadata(metadata: Manifest, more: Mapping[str, Mapping[str, str]]) -> None:
    """Add labels and annotations; what is there already stays."""
    for field, given in more.items():
        metadata[field] = {**given, **metadata.get(field, {})}


def owner_reference(deployment: FlamingoDeployment) -> Manifest:
    """Return the reference by which the garbage collector knows whose an object is."""
    return {
        "apiVersion": f"{names.GROUP}/{names.VERSION}",
        "kind": names.KIND,
        "name": deployment.metadata.name,
        "uid": deployment.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_security() -> Manifest:
    """Return a pod's security context."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """Return a container's security context."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def probe(path: str, *, period_s: int, num_failures: int) -> Manifest:
    """Return a probe of a service's own port."""
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": num_failures,
    }


def quantity_strings(given: Mapping[str, int | str]) -> dict[str, str]:
    """Return quantities as the API server keeps them: as text."""
    return {name: str(value) for name, value in given.items()}


def without_empty(value: Any) -> Any:
    """Return a manifest without absent values and empty lists; empty objects mean something."""
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    told = {key: without_empty(inner) for key, inner in value.items()}
    return {key: inner for key, inner in told.items() if inner is not None and inner != []}
