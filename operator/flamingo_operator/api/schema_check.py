"""Check JSON against the schemas of `pod_schema`, as the API server does.

Pure.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from flamingo_operator.api import pod_schema
from flamingo_operator.api.pod_schema import Schema

Path: TypeAlias = tuple[str | int, ...]

_TYPES: Mapping[str, type] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "object": dict,
    "string": str,
}


def type_errors(node: Schema, value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield path and message of each value of another type, or beyond a limit."""
    node = pod_schema.resolve(node)
    if not _has_type(node, value):
        expected = node.get("type", "integer or string")
        yield path, f"must be of type {expected}"
        return
    for message in _limit_errors(node, value):
        yield path, message
    for name in node.get("required", ()):
        if name not in value:
            yield (*path, name), "field is required"
    for name, inner_node, inner in _children(node, value):
        if inner_node is not None:
            yield from type_errors(inner_node, inner, (*path, name))


def unknown_errors(node: Schema, value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield path and message of each field and choice that is not known here."""
    node = pod_schema.resolve(node)
    if not _has_type(node, value):
        return
    if "enum" in node and value not in node["enum"]:
        yield path, f"must be one of {', '.join(node['enum'])}"
    for name, inner_node, inner in _children(node, value):
        if inner_node is None:
            yield (*path, name), f"unknown field; known are {', '.join(node['properties'])}"
        else:
            yield from unknown_errors(inner_node, inner, (*path, name))


def rule_errors(node: Schema, value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield path and message of each rule that a value violates; its types are valid."""
    node = pod_schema.resolve(node)
    for rule in node.get(pod_schema.RULES_KEY, ()):
        if not rule.holds(value):
            yield (*path, *rule.field_path.split(".")[1:]), rule.message
    for name, inner_node, inner in _children(node, value):
        if inner_node is not None:
            yield from rule_errors(inner_node, inner, (*path, name))


def _children(node: Schema, value: Any) -> Iterator[tuple[str | int, Schema | None, Any]]:
    """Yield name, schema and value of each field or item; without schema: an unknown field."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield index, node["items"], item
    elif isinstance(value, dict) and "x-kubernetes-preserve-unknown-fields" not in node:
        fields, other = node.get("properties", {}), node.get("additionalProperties")
        for name, inner in value.items():
            yield name, fields.get(name, other), inner


def _has_type(node: Schema, value: Any) -> bool:
    if "x-kubernetes-int-or-string" in node:
        return isinstance(value, int | str) and not isinstance(value, bool)
    expected = _TYPES[node["type"]]
    return isinstance(value, expected) and (expected is bool) == isinstance(value, bool)


def _limit_errors(node: Schema, value: Any) -> Iterator[str]:
    if isinstance(value, int):
        if value < node.get("minimum", value) or value > node.get("maximum", value):
            yield f"must be {_range(node, 'minimum', 'maximum')}"
        return
    if isinstance(value, str):
        if "pattern" in node and re.search(node["pattern"], value) is None:
            yield f"must match {node['pattern']}"
        yield from _size_errors(node, value, "Length", "characters")
    elif isinstance(value, list):
        yield from _size_errors(node, value, "Items", "items")
        yield from _key_errors(node, value)
    else:
        yield from _size_errors(node, value, "Properties", "entries")


def _size_errors(node: Schema, value: Any, suffix: str, unit: str) -> Iterator[str]:
    minimum, maximum = f"min{suffix}", f"max{suffix}"
    if len(value) < node.get(minimum, 0) or len(value) > node.get(maximum, len(value)):
        yield f"must have {_range(node, minimum, maximum)} {unit}"


def _range(node: Schema, minimum: str, maximum: str) -> str:
    if maximum not in node:
        return f"at least {node[minimum]}"
    return f"{node.get(minimum, 0)} to {node[maximum]}"


def _key_errors(node: Schema, items: list[Any]) -> Iterator[str]:
    """Yield a message if two items of a list map have the same keys."""
    names = node.get("x-kubernetes-list-map-keys", ())
    keys = [tuple(item.get(name) for name in names) for item in items if isinstance(item, dict)]
    if names and len(set(map(str, keys))) < len(keys):
        yield f"must not have two items with the same {' and '.join(names)}"
