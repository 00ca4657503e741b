"""A change of a status as a JSON merge patch, and which fields of it an API server rejects.

Pure.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]

_FIELD = re.compile(r"\bstatus\.([A-Za-z]+)")


def merge_patch(old: Json, new: Json) -> dict[str, Any]:
    """Return the JSON merge patch (RFC 7386) that turns `old` into `new`."""
    patch: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := merge_patch(before, value):
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch


def invalid_fields(message: str) -> set[str]:
    """Return the fields of the status that an API server's message calls invalid."""
    return set(_FIELD.findall(message))


def without(status: Json, fields: Iterable[str]) -> dict[str, Any]:
    """Return a status without some of its fields."""
    left_out = set(fields)
    return {key: value for key, value in status.items() if key not in left_out}
