"""The schemas of what is copied into pods: those of core/v1, with the limits of `pod_limits`.

How it works. `pod_schema.json` has the types of core/v1, reduced from the OpenAPI document of a
real API server by `pod_openapi`. A node of a schema may refer to another type by `$ref`.
`resolve` follows the reference and adds the rules of the type under `RULES_KEY`; `expand` returns
a structural schema for the CRD, where no references are allowed.

Pure.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from flamingo_operator.api import pod_limits

Schema: TypeAlias = Mapping[str, Any]

DATA = json.loads(resources.files(__package__).joinpath("pod_schema.json").read_text("utf-8"))
"""The types, and the API server that they are from."""
RULES_KEY = "rules"
PATCH_STRATEGY = "x-kubernetes-patch-strategy"
PATCH_MERGE_KEY = "x-kubernetes-patch-merge-key"
"""How a list is merged; they have no place in a CRD."""
PRESERVED = "x-kubernetes-preserve-unknown-fields"
_OWN_KEYS = ("description", "x-kubernetes-map-type")
"""Keys of a reference that take precedence over those of its type."""
_LIMITS = ("maxItems", "maxProperties")
_INNER = ("items", "additionalProperties")


def names() -> list[str]:
    """Return the names of the types."""
    return [*DATA["schemas"], *pod_limits.DEFINITIONS]


@cache
def definition(name: str) -> Schema:
    """Return a type of core/v1 with its limits and rules."""
    schema = DATA["schemas"].get(name) or pod_limits.DEFINITIONS[name]
    bounds = dict(pod_limits.BOUNDS.get(name, {}))
    out = {**schema, RULES_KEY: pod_limits.RULES.get(name, ())}
    if "required" in bounds:
        out["required"] = bounds.pop("required")
    if "properties" in schema:
        out["properties"] = {
            field: _bounded({**node, **bounds.get(field, {})})
            for field, node in schema["properties"].items()
        }
        return out
    return {**out, **bounds}


def _bounded(node: Schema) -> Schema:
    limit = {"array": "maxItems", "object": "maxProperties"}.get(node.get("type", ""))
    return {limit: pod_limits.MAX_ITEMS, **node} if limit else node


def field(of: str, name: str) -> Schema:
    """Return the schema of a field of a type of core/v1."""
    schema: Schema = definition(of)["properties"][name]
    return schema


def resolve(node: Schema) -> Schema:
    """Return what a node refers to, or the node itself."""
    if "$ref" not in node:
        return node
    own = {key: node[key] for key in _OWN_KEYS if key in node}
    return {**definition(node["$ref"]), **own}


def has_rules(node: Schema) -> bool:
    """Whether there are rules in a schema, so that its size must be bounded."""
    inner = [node[key] for key in _INNER if key in node] + [*node.get("properties", {}).values()]
    return bool(node.get(RULES_KEY)) or any(has_rules(resolve(one)) for one in inner)


def outline(node: Schema) -> dict[str, Any]:
    """Return a structural schema that has the type, of items with their required fields only."""
    node = resolve(node)
    if node["type"] != "array":
        return {"type": node["type"], PRESERVED: True}
    item = resolve(node["items"])
    fields = {name: expand(item["properties"][name], -1) for name in item.get("required", ())}
    required = {"required": list(fields), "properties": fields} if fields else {}
    items = {"type": "object", **required, PRESERVED: True}
    return {"type": "array", "maxItems": node["maxItems"], "items": items}


def expand(node: Schema, described_depth: int) -> dict[str, Any]:
    """Return a structural schema without references; nested fields are described to a depth."""
    node = resolve(node)
    left_out = {key for key, value in node.items() if value == []}
    left_out |= {RULES_KEY, PATCH_STRATEGY, PATCH_MERGE_KEY, "properties", *_INNER}
    if described_depth < 0:
        left_out.add("description")
    if node.get("x-kubernetes-list-type") == "atomic":  # the default
        left_out.add("x-kubernetes-list-type")
    if not has_rules(node):
        left_out |= {key for key in _LIMITS if node.get(key) == pod_limits.MAX_ITEMS}
    out = {key: value for key, value in node.items() if key not in left_out}
    if node.get(RULES_KEY):
        out["x-kubernetes-validations"] = [one.as_validation() for one in node[RULES_KEY]]
    for key in _INNER:
        if key in node:
            out[key] = expand(node[key], described_depth)
    if "properties" in node:
        out["properties"] = {
            name: expand(inner, described_depth - 1) for name, inner in node["properties"].items()
        }
    return out
