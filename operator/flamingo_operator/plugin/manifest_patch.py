"""The patch that `kubectl apply` would send for a manifest.

As kubectl does for custom resources, it is a JSON merge patch from three sides: fields of the
manifest are set, and fields that were in the manifest that was applied last, and are no longer in
it, are removed. All other fields stay as they are, such as `spec.replicas`, which an autoscaler
wrote.

Pure.
"""

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def apply_patch(stored: Json, manifest: Json) -> dict[str, Any]:
    """Return the merge patch for a manifest of client-side apply."""
    text = (stored["metadata"].get("annotations") or {}).get(LAST_APPLIED) or "{}"
    before = json.loads(text)
    return _patch(before if isinstance(before, dict) else {}, manifest)


def _patch(before: Json, after: Json) -> dict[str, Any]:
    removed = {name: None for name in before if name not in after}
    changed = {}
    for name, value in after.items():
        known = before.get(name)
        if isinstance(value, Mapping):
            changed[name] = _patch(known if isinstance(known, Mapping) else {}, value)
        else:
            changed[name] = value
    return {**removed, **changed}


def server_side_manager(stored: Json) -> str | None:
    """Return who applied the object by server-side apply; None if it was client-side apply."""
    if LAST_APPLIED in (stored["metadata"].get("annotations") or {}):
        return None
    managers = [
        str(one["manager"])
        for one in stored["metadata"].get("managedFields", ())
        if one.get("operation") == "Apply" and "subresource" not in one
    ]
    return managers[0] if managers else None


def difference(before: Any, after: Any) -> dict[str, Any]:
    """Return the merge patch that makes one object of another."""
    changed: dict[str, Any] = {name: None for name in before if name not in after}
    for name, value in after.items():
        known = before.get(name)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            inner = difference(known, value)
            if inner:
                changed[name] = inner
        elif value != known:
            changed[name] = value
    return changed
