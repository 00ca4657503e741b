"""Reads an answer that is JSON: an array of sections or lines, or an object that has one.

Pure.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from flamingo_common.timed_text import times
from flamingo_common.timed_text.content import Line, Section, TimedText

LISTS = ("sections", "structure", "segments", "lyrics", "lines")
_NAMES = ("name", "section", "label", "title", "type")
_STARTS = ("start_s", "start", "start_time", "begin", "from")
_ENDS = ("end_s", "end", "end_time", "stop", "to")
_RANGES = ("time", "times", "timestamp", "timestamps", "range")
_ABOUT = ("description", "notes", "details")
_TEXTS = ("lines", "lyrics", "text", "line")
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL | re.IGNORECASE)
CUT = "the answer is JSON that is not complete; raise max_tokens"

Fields = Mapping[str, Any]


def is_json(text: str) -> bool:
    """Return whether an answer is meant to be JSON: `[` also begins `[Verse 1]`."""
    return re.match(r"\{|\[\s*[\[{]", _unfenced(text).lstrip()) is not None


def read(text: str) -> TimedText:
    """Return the sections of an answer for which `is_json` holds, and what is invalid in it."""
    try:
        value = json.loads(_unfenced(text))
    except (ValueError, RecursionError):
        return TimedText(faults=(CUT,))
    found = (
        next((value[name] for name in LISTS if name in value), None) if _is_object(value) else value
    )
    if not isinstance(found, list):
        return TimedText(faults=(f"the answer's JSON has none of {', '.join(LISTS)} as an array",))
    faults: list[str] = []
    return TimedText(tuple(_sections(found, faults)), tuple(faults))


def _unfenced(text: str) -> str:
    fenced = _FENCED.fullmatch(text)
    return fenced[1] if fenced else text


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _sections(items: Iterable[Any], faults: list[str]) -> Iterable[Section]:
    """Yield the sections; entries without a name are lines of the section before them."""
    name: str | None = None
    loose: list[Line] = []
    for item in items:
        if isinstance(item, Mapping) and (name := _text(item, _NAMES)) is not None:
            if loose:
                yield Section(None, lines=tuple(loose))
                loose = []
            start_s, end_s = _span(item, faults)
            about = _text(item, _ABOUT)
            yield Section(name, start_s, end_s, tuple(_lines(_first(item, _TEXTS), faults)), about)
        else:
            loose += _lines([item], faults)
    if loose:
        yield Section(None, lines=tuple(loose))


def _lines(value: Any, faults: list[str]) -> Iterable[Line]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            yield from (Line(line.strip()) for line in item.splitlines() if line.strip())
        elif isinstance(item, Mapping) and (text := _text(item, _TEXTS)) is not None:
            yield Line(text, *_span(item, faults))


def _span(item: Fields, faults: list[str]) -> tuple[float | None, float | None]:
    written = _text(item, _RANGES)
    span = times.find_span(written) if written else None
    if span is not None:
        faults += [f"{word} is not a valid time" for word in span.invalid]
        return span.start_s, span.end_s
    return _time(_first(item, _STARTS), faults), _time(_first(item, _ENDS), faults)


def _time(value: Any, faults: list[str]) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    seconds = times.seconds_of(value) if isinstance(value, str) else value
    if isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0:
        return float(seconds)
    faults.append(f"{str(value)[:20]!r} is not a valid time")
    return None


def _first(item: Fields, names: Iterable[str]) -> Any:
    return next((item[name] for name in names if item.get(name) is not None), None)


def _text(item: Fields, names: Iterable[str]) -> str | None:
    found = _first(item, names)
    return " ".join(found.split()) or None if isinstance(found, str) else None
