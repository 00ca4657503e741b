"""How the schema that the API server serves differs from the one of this release.

Descriptions and validation rules are not compared: they do not change what the operator reads and
writes.

Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]

COMPARED = ("type", "enum", "default", "pattern", "minimum", "maximum", "maxLength", "maxItems")


@dataclass(frozen=True, slots=True)
class SchemaSkew:
    """The paths of the fields that differ."""

    missing: tuple[str, ...] = ()
    """Fields of this release that the API server does not know, and prunes."""
    unknown: tuple[str, ...] = ()
    """Fields that the API server knows, and this release ignores."""
    changed: tuple[str, ...] = ()
    """Fields whose type, values, default or limits differ, or that only one side requires."""


def compare(own: Schema, served: Schema) -> SchemaSkew:
    """Return how `served` differs from `own`; a block that is missing counts as one field."""
    found: dict[str, list[str]] = {"missing": [], "unknown": [], "changed": []}
    for what, path in _differences(own, served, ""):
        found[what].append(path)
    return SchemaSkew(**{what: tuple(sorted(paths)) for what, paths in found.items()})


def _differences(own: Schema, served: Schema, path: str) -> Iterator[tuple[str, str]]:
    """Yield what differs, and where."""
    if path and _is_changed(own, served):
        yield "changed", path
    ours, theirs = own.get("properties", {}), served.get("properties", {})
    for name in ours.keys() | theirs.keys():
        inner = f"{path}.{name}".removeprefix(".")
        if name not in theirs:
            yield "missing", inner
        elif name not in ours:
            yield "unknown", inner
        else:
            yield from _differences(ours[name], theirs[name], inner)
    for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(own.get(key), Mapping) and isinstance(served.get(key), Mapping):
            yield from _differences(own[key], served[key], path + suffix)


def _is_changed(own: Schema, served: Schema) -> bool:
    """Whether a field itself differs; that of a block because of its own fields does not count."""
    compared = [name for name in COMPARED if name != "default" or "properties" not in own]
    ours = own.get("properties", {}).keys() & served.get("properties", {}).keys()
    required = [set(one.get("required", ())) & ours for one in (own, served)]
    return required[0] != required[1] or any(
        _as_set(own.get(name)) != _as_set(served.get(name)) for name in compared
    )


def _as_set(value: Any) -> Any:
    """Return a list without its order, as that of an enum does not matter."""
    return sorted(map(str, value)) if isinstance(value, list) else value
