"""From a row of a table to an item.

Pure.
"""

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flamingo.batch import manifest_lines
from flamingo.batch.items import Entry, Item, Malformed
from flamingo.batch.storage import location as locations
from flamingo.batch.storage import names
from flamingo_common.service import printable

MAX_COLUMNS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    number: int
    """Of the line or row in its file, from 1."""
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line or row that cannot be read."""

    number: int
    problem: str


@dataclass(frozen=True, slots=True)
class RowRules:
    """How the rows of one table become items."""

    table: str
    """The name of its file, relative to the folder that locations are relative to."""
    column: str | None = None
    """The one that names the clip; None: the first of `manifest_lines.LOCATION_FIELDS`."""
    is_dataset: bool = False
    """Whether it is the metadata of a folder: clips are in that folder, and their names are the
    keys."""
    is_local: bool = True
    """Whether it is on this machine, and may name any file of it."""

    has_only_text: bool = False
    """Whether all values are text, as in CSV: see `manifest_lines.fields_of_texts`."""

    @property
    def folder(self) -> str:
        """The folder of the table, with a slash at its end, or nothing."""
        folder, slash, _ = self.table.rpartition("/")
        return folder + slash

    def key(self, number: int) -> str:
        """Return the place of a row."""
        return f"{self.table}:{number}"


def clip_column(columns: Iterable[str], chosen: str | None) -> str | None:
    """Return the column that names the clips: `chosen`, if there is such a column."""
    present = list(columns)
    if chosen is not None:
        return chosen if chosen in present else None
    return next((name for name in manifest_lines.LOCATION_FIELDS if name in present), None)


def no_clip_column(table: str, columns: Iterable[str], chosen: str | None) -> str:
    """Return the message for a table without that column."""
    shown = [printable.escape_line(name) for name in columns]
    more = ", …" if len(shown) > MAX_COLUMNS_SHOWN else ""
    there = f"; its columns are {', '.join(shown[:MAX_COLUMNS_SHOWN])}{more}" if shown else ""
    if chosen is not None:
        return f"{table} has no column {chosen!r}{there}"
    expected = ", ".join(manifest_lines.LOCATION_FIELDS)
    return f"{table} has no column for the clips ({expected}){there}; name one with --column"


def entry(row: Row | BadRow, rules: RowRules) -> Entry:
    """Return the item of a row, or what is wrong with the row."""
    key = rules.key(row.number)
    if isinstance(row, BadRow):
        return Malformed(key, row.problem)
    found = clip_column(row.values, rules.column)
    if found is None:
        return Malformed(key, no_clip_column("the row", row.values, rules.column))
    clip = row.values[found]
    if not isinstance(clip, str) or not clip:
        return Malformed(key, f"{found} must be a path or a URL as text, not {clip!r:.80}")
    problem = _problem(clip, rules)
    if problem is not None:
        return Malformed(key, f"{found} {printable.escape_line(clip)!r:.200}: {problem}")
    where = rules.folder + clip if is_relative(clip) else clip
    return item(row, where if rules.is_dataset else key, where, has_only_text=rules.has_only_text)


def item(row: Row, key: str, location: str, *, has_only_text: bool = False) -> Entry:
    """Return the item of a row whose clip is at `location`; a `custom_id` in it is the key."""
    values = {name: json_value(value) for name, value in row.values.items()}
    others = {n: v for n, v in values.items() if n not in manifest_lines.LOCATION_FIELDS}
    if has_only_text:
        others = manifest_lines.fields_of_texts(others)
    found = manifest_lines.item_of({"audio": location, **others}, key)
    return replace(found, columns=values) if isinstance(found, Item) else found


def is_relative(clip: str) -> bool:
    """Whether this is a path relative to the folder of its table, and not a URL."""
    return not clip.startswith("/") and not locations.scheme(clip)


def _problem(clip: str, rules: RowRules) -> str | None:
    """Return why a table may not name this clip, or None."""
    is_inside = rules.is_dataset or (not rules.is_local and not locations.scheme(clip))
    if is_inside:
        return names.problem_of(clip)
    return "it contains a NUL character" if "\0" in clip else None


def json_value(value: Any) -> Any:
    """Return `value` as JSON has it: dates in ISO 8601, no NaN, no bytes."""
    if value is None or isinstance(value, bool | int | str):
        return value
    match value:
        case Mapping():
            return {str(name): json_value(one) for name, one in value.items()}
        case list() | tuple():
            return [json_value(one) for one in value]
        case dt.date() | dt.time():
            return value.isoformat()
        case bytes() | float():
            return value if isinstance(value, float) and math.isfinite(value) else None
        case _:
            return str(value)
