"""What we said of an object, read back from it.

Server-side apply records which fields each manager last set. `owned` cuts out of
an object what we own in it: as long as nobody else changed our fields, that is
what we applied, whatever defaults and other managers added around it. So drift is
one comparison of digests, without knowing any kind's schema and without asking
the API server.

Pure.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from flamingo_operator.api import names

_NAMED = ("apiVersion", "kind")


def digest(value: Any) -> str:
    """Return a short name for a JSON value; equal values have equal names."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of_manifest(manifest: Mapping[str, Any]) -> str:
    """Return the digest that `digest_of_live` has while nobody changed what we applied."""
    said = {key: value for key, value in manifest.items() if key not in _NAMED}
    metadata = {
        key: value
        for key, value in manifest["metadata"].items()
        if key not in ("name", "namespace") and value
    }
    return digest({**said, "metadata": metadata})


def digest_of_live(live: Mapping[str, Any]) -> str:
    """Return the digest of what we own in `live`."""
    for entry in live["metadata"].get("managedFields", ()):
        is_ours = entry.get("manager") == names.FIELD_MANAGER and entry["operation"] == "Apply"
        if is_ours and "subresource" not in entry:
            return digest(owned_fields(live, entry["fieldsV1"]))
    return ""


def is_managed_by_us(live: Mapping[str, Any]) -> bool:
    """Whether something in `live` is as we wrote it."""
    entries = live["metadata"].get("managedFields", ())
    return any(entry.get("manager") == names.FIELD_MANAGER for entry in entries)


def owned_fields(live: Any, fields: Mapping[str, Any]) -> Any:
    """Return the part of `live` that `fields`, a FieldsV1 set, names."""
    if not fields or fields.keys() == {"."}:
        return live
    if isinstance(live, list):
        return [_item(live, key, inner) for key, inner in _in_order(live, fields)]
    if not isinstance(live, dict):
        return live
    named = ((key[2:], inner) for key, inner in fields.items() if key.startswith("f:"))
    return {name: owned_fields(live[name], inner) for name, inner in named if name in live}


def _in_order(live: list[Any], fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the entries of a list's set in the order in which the list has them."""
    placed = [(_place(live, key), key, inner) for key, inner in fields.items() if key != "."]
    placed.sort(key=lambda entry: entry[0])
    return [(key, inner) for place, key, inner in placed if place < len(live)]


def _place(live: list[Any], key: str) -> int:
    wanted = json.loads(key[2:])
    for place, item in enumerate(live):
        if _is_it(item, key, wanted):
            return place
    return len(live)


def _is_it(item: Any, key: str, wanted: Any) -> bool:
    if key.startswith("k:"):
        return isinstance(item, dict) and all(item.get(name) == wanted[name] for name in wanted)
    return bool(item == wanted)


def _item(live: list[Any], key: str, fields: Mapping[str, Any]) -> Any:
    return owned_fields(live[_place(live, key)], fields)
