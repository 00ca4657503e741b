"""One row of a manifest as an item.

The clip is in the first of `LOCATION_FIELDS` that the line has, and `custom_id` is the item's key;
without one, that is the line's place, such as `manifest.jsonl:17`. `OPTION_FIELDS` are request
fields that apply to this line only. All fields are copied to the output.

Pure.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from flamingo.batch.items import Entry, Item, Malformed

LOCATION_FIELDS = (
    "audio",
    "path",
    "file",
    "file_name",  # Hugging Face's AudioFolder
    "audio_filepath",  # NeMo
    "audio_path",
    "url",
)
OPTION_FIELDS = ("question", "prompt", "style", "max_tokens")
DURATION_FIELDS = ("duration", "duration_s")
NUMBER_FIELDS = {"max_tokens", *DURATION_FIELDS}


def item_of(row: Mapping[str, Any], key: str) -> Entry:
    """Return the item in one row of a manifest; `key` is the row's place."""
    name = next((name for name in LOCATION_FIELDS if row.get(name) is not None), None)
    if name is None:
        return Malformed(key, f"the clip is missing; expected one of {', '.join(LOCATION_FIELDS)}")
    location, custom_id = row[name], row.get("custom_id")
    if not isinstance(location, str) or not location:
        return Malformed(key, f"{name} must be a path or a URL as text, not {location!r:.80}")
    if custom_id is not None and (not isinstance(custom_id, str) or not custom_id):
        return Malformed(key, f"custom_id must be text, not {custom_id!r:.80}")
    return Item(
        key=custom_id or key,
        location=location,
        columns=row,
        options={name: row[name] for name in OPTION_FIELDS if row.get(name) is not None},
        duration_s=_duration_s(row),
    )


def fields_of_texts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a table that has only text, such as CSV, as `item_of` reads it.

    An empty cell among the fields with a meaning is one that is missing, and a number is a number.
    """
    fields = dict(row)
    for name in ("custom_id", *OPTION_FIELDS, *DURATION_FIELDS):
        if fields.get(name) == "":
            del fields[name]
    for name in NUMBER_FIELDS & fields.keys():
        with contextlib.suppress(ValueError):
            fields[name] = (int if name == "max_tokens" else float)(fields[name])
    return fields


def _duration_s(row: Mapping[str, Any]) -> float | None:
    values = (row.get(name) for name in DURATION_FIELDS)
    return next((float(one) for one in values if isinstance(one, int | float) and one > 0), None)
