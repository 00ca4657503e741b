"""What all manifests share: metadata with an owner, security contexts, probes.

Every pod conforms to the `restricted` Pod Security Standard.

Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flamingo_operator.api import names, quantity
from flamingo_operator.api.metadata import ObjectMetadata
from flamingo_operator.api.names import Component
from flamingo_operator.api.rules import Block
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster.aliases import Neighbor

Manifest = dict[str, Any]

PORT = 8000
"""Port that server pods and routers listen on."""
ALL_ADDRESSES = "::"
"""The address that programs listen on: IPv6 and IPv4, and only IPv4 on a node without IPv6."""
USER_ID = 10001
"""A user id without an account in any image."""
ENGINE_LABEL = {"llm-d.ai/engine-type": "vllm"}
"""Label of a server pod by which endpoint pickers know under which names to read its metrics."""


@dataclass(frozen=True, slots=True)
class Release:
    """Images and namespace of this installation of the operator."""

    server_image: str
    router_image: str
    batches_image: str
    operator_namespace: str
    scraper_namespaces: tuple[str, ...] = ()
    """Namespaces whose pods may read metrics, unless a spec lists the scrapers itself."""


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


def added_metadata(settings: ObjectMetadata) -> dict[str, Mapping[str, str]]:
    """Return the labels and annotations that a user adds to an object."""
    added = {"labels": settings.labels, "annotations": settings.annotations}
    return {field: entries for field, entries in added.items() if entries}


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


def neighbor_reference(neighbor: Neighbor) -> Manifest:
    """Return an owner reference to a FlamingoDeployment that does not control the object."""
    return {
        "apiVersion": f"{names.GROUP}/{names.VERSION}",
        "kind": names.KIND,
        "name": neighbor.name,
        "uid": neighbor.uid,
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
    return {name: quantity.canonical(value) for name, value in quantities.items()}


def dumped(blocks: Sequence[Block]) -> list[Manifest]:
    """Return blocks as a manifest has them, without unset fields."""
    return [one.model_dump(by_alias=True, exclude_none=True) for one in blocks]


def without_empty(value: Any) -> Any:
    """Return a manifest without None and empty lists; empty objects have a meaning."""
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    fields = {key: without_empty(inner) for key, inner in value.items()}
    return {key: inner for key, inner in fields.items() if inner is not None and inner != []}
