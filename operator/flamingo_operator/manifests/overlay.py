"""Merge a block's `podTemplate` into the pods that the operator renders.

It is applied last, so that it may change what the operator and the other fields of the block
set, except what `api/pod_overlay` refuses.

Pure.
"""

from collections.abc import Mapping
from typing import Any

from flamingo_operator.api import pod_schema, quantity
from flamingo_operator.api.pod_schema import Schema
from flamingo_operator.manifests import common, strategic_merge
from flamingo_operator.manifests.common import Manifest

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
"""Annotation by which `kubectl logs` and `kubectl exec` choose among containers."""
_TEMPLATE: Schema = {
    "type": "object",
    "properties": {"metadata": {"$ref": "ObjectMeta"}, "spec": {"$ref": "PodSpec"}},
}

Json = Mapping[str, Any]


def apply_overlay(template: Manifest, overlay: Json | None, container: str) -> Manifest:
    """Return a pod template with an overlay merged into it; `container` is our container."""
    if not overlay:
        return template
    merged = strategic_merge.merge(_TEMPLATE, common.without_empty(template), overlay)
    merged = canonical(_TEMPLATE, merged)
    metadata = {name: entries for name, entries in merged.get("metadata", {}).items() if entries}
    if len(merged["spec"]["containers"]) > 1:
        annotations = {DEFAULT_CONTAINER: container, **metadata.get("annotations", {})}
        metadata["annotations"] = annotations
    return {**({"metadata": metadata} if metadata else {}), "spec": merged["spec"]}


def canonical_template(template: Manifest) -> Manifest:
    """Return a pod template with quantities as the API server stores them: 1000m of CPU is 1."""
    found: Manifest = canonical(_TEMPLATE, template)
    return found


def canonical(node: Schema, value: Any) -> Any:
    """Return a manifest with quantities as the API server stores them, so that it has no drift."""
    if node.get("$ref") == "Quantity":
        return quantity.canonical(value)
    node = pod_schema.resolve(node)
    if isinstance(value, list):
        return [canonical(node.get("items", {}), item) for item in value]
    if not isinstance(value, dict):
        return value
    fields, other = node.get("properties", {}), node.get("additionalProperties", {})
    return {name: canonical(fields.get(name, other), inner) for name, inner in value.items()}
