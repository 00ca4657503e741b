"""What all manifests share: metadata with an owner, security contexts, probes.

Every pod conforms to the `restricted` Pod Security Standard.

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
"""Port that server pods and routers listen on."""
USER_ID = 10001
"""A user id without an account in any image."""


@dataclass(frozen=True, slots=True)
class Release:
    """Images and namespace of this installation of the operator."""

    server_image: str
    router_image: str
    operator_namespace: str


def metadata(deployment: FlamingoDeployment, name: str, component: Component) -> Manifest:
    """Return the metadata of an object that is deleted with its FlamingoDeployment."""
    return {
        "name": name,
        "namespace": deployment.metadata.namespace,
        "labels": names.labels(deployment.metadata.name, component),
        "ownerReferences": [owner_reference(deployment)],
    }


def merge_metadata(metadata: Manifest, more: Mapping[str, Mapping[str, str]]) -> None:
    """Add labels and annotations, without overwriting existing ones."""
    for field, entries in more.items():
        metadata[field] = {**entries, **metadata.get(field, {})}


def owner_reference(deployment: FlamingoDeployment) -> Manifest:
    """Return the owner reference to a FlamingoDeployment, for the garbage collector."""
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
    """Return an HTTP probe of the container's port."""
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": num_failures,
    }


def quantity_strings(quantities: Mapping[str, int | str]) -> dict[str, str]:
    """Return quantities as strings, as the API server stores them."""
    return {name: str(value) for name, value in quantities.items()}


def without_empty(value: Any) -> Any:
    """Return a manifest without None and empty lists; empty objects have a meaning."""
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {key: without_empty(inner) for key, inner in value.items()}
    return {key: inner for key, inner in fields.items() if inner is not None and inner != []}
