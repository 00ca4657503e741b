"""Drift detection: the fields of an object that the operator owns, and their digest.

Server-side apply records in managedFields which fields each manager last set.
`owned_fields` extracts from an object the fields that we own: unless another manager
changed them, they equal what we applied, whatever defaults and other fields were
added. So drift is detected by comparing digests, without a kind's schema and without
a request to the API server.

Pure.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from flamingo_operator.api import names

_TYPE_FIELDS = ("apiVersion", "kind")
_ATOMIC_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "fieldRef": {"apiVersion": "v1"},
    "resourceFieldRef": {"divisor": "0"},
    "serviceAccountToken": {"expirationSeconds": 3600},
}
"""What the API server adds to structures that are owned as a whole, with what it adds."""


def digest(value: Any) -> str:
    """Return a short digest of a JSON value; equal values have equal digests."""
    text = _to_json(value)
    if any(f'"{key}":' in text for key in _ATOMIC_DEFAULTS):
        text = _to_json(_without_defaults(value))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _to_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _without_defaults(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_defaults(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: _without_defaults(one) for key, one in value.items()}
    for key, defaults in _ATOMIC_DEFAULTS.items():
        if isinstance(inner := found.get(key), dict):
            found[key] = {name: one for name, one in inner.items() if one != defaults.get(name)}
    return found


def digest_of_manifest(manifest: Mapping[str, Any]) -> str:
    """Return the digest that `digest_of_live` returns while the applied fields are unchanged."""
    applied = {key: value for key, value in manifest.items() if key not in _TYPE_FIELDS}
    metadata = {
        key: value
        for key, value in manifest["metadata"].items()
        if key not in ("name", "namespace") and value
    }
    return digest({**applied, "metadata": metadata})


def digest_of_live(live: Mapping[str, Any]) -> str:
    """Return the digest of the fields that we own in `live`; empty if we own none."""
    fields = _our_field_set(live)
    return digest(owned_fields(live, fields)) if fields else ""


def owned_replicas(live: Mapping[str, Any]) -> int | None:
    """Return `spec.replicas` of `live` if we own it, otherwise None."""
    is_ours = "f:replicas" in _our_field_set(live).get("f:spec", {})
    return live["spec"]["replicas"] if is_ours else None


def _our_field_set(live: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the FieldsV1 set of the fields that we own."""
    for entry in live["metadata"].get("managedFields", ()):
        is_ours = entry.get("manager") == names.FIELD_MANAGER and entry["operation"] == "Apply"
        if is_ours and "subresource" not in entry:
            fields: Mapping[str, Any] = entry["fieldsV1"]
            return fields
    return {}


def is_managed_by_us(live: Mapping[str, Any]) -> bool:
    """Whether the operator has written any field of `live`."""
    entries = live["metadata"].get("managedFields", ())
    return any(entry.get("manager") == names.FIELD_MANAGER for entry in entries)


def owned_fields(live: Any, fields: Mapping[str, Any]) -> Any:
    """Return the part of `live` that `fields`, a FieldsV1 set, selects."""
    if not fields or fields.keys() == {"."}:
        return live
    if isinstance(live, list):
        return [_item(live, key, inner) for key, inner in _in_order(live, fields)]
    if not isinstance(live, dict):
        return live
    named = ((key[2:], inner) for key, inner in fields.items() if key.startswith("f:"))
    return {name: owned_fields(live[name], inner) for name, inner in named if name in live}


def _in_order(live: list[Any], fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the entries of a list's field set in the order of the list."""
    indexed = [(_index(live, key), key, inner) for key, inner in fields.items() if key != "."]
    indexed.sort(key=lambda entry: entry[0])
    return [(key, inner) for index, key, inner in indexed if index < len(live)]


def _index(live: list[Any], key: str) -> int:
    wanted = json.loads(key[2:])
    for index, item in enumerate(live):
        if _matches(item, key, wanted):
            return index
    return len(live)


def _matches(item: Any, key: str, wanted: Any) -> bool:
    if key.startswith("k:"):
        return isinstance(item, dict) and all(item.get(name) == wanted[name] for name in wanted)
    return bool(item == wanted)


def _item(live: list[Any], key: str, fields: Mapping[str, Any]) -> Any:
    return owned_fields(live[_index(live, key)], fields)
