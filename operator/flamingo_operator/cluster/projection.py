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


def digest(value: Any) -> str:
    """Return a short digest of a JSON value; equal values have equal digests."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
    for entry in live["metadata"].get("managedFields", ()):
        is_ours = entry.get("manager") == names.FIELD_MANAGER and entry["operation"] == "Apply"
        if is_ours and "subresource" not in entry:
            return digest(owned_fields(live, entry["fieldsV1"]))
    return ""


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
