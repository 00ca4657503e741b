"""Answers to questions, as a table of a terminal has them.

Pure.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flamingo_common import json_pointer
from flamingo_common.timed_text.times import clock
from flamingo_common.wire.answers import Answer, TimedSection
from flamingo_common.wire.measured import Comparison, Measured

AGREES, DISAGREES = "=", "≠"
SHOWN_BEATS = 8
MIN_SHOWN = 0.01
"""A lower confidence is shown as lower than this."""


def lines(answer: Answer) -> Iterator[tuple[str, str]]:
    """Yield a label and a text for each row of one answer; most labels are empty."""
    if answer.sections is not None:
        for section in answer.sections:
            yield from _section_lines(section)
        yield from (("fault", fault) for fault in answer.faults or ())
    elif isinstance(answer.parsed, Mapping):
        confidence = answer.confidence or {}
        compared = {each.field: _comparison(each) for each in answer.comparisons or ()}
        for name, value in answer.parsed.items():
            text = _value(value, _below(json_pointer.child("", str(name)), confidence))
            yield str(name), text + compared.get(str(name), "")
    elif answer.content:
        yield from (("", line) for line in answer.content.strip().splitlines())
    if answer.error is not None:
        yield "error", answer.error.message
    elif answer.finish_reason == "length":
        yield "cut", "at the token limit; see --max-tokens"


def _comparison(found: Comparison) -> str:
    if found.measured is None:
        return ""
    measured = found.measured if isinstance(found.measured, str) else f"{found.measured:.1f}"
    if found.agrees is None:
        return f"  measured: {measured}"
    if found.agrees:
        return f"  {AGREES} measured: {measured}"
    is_known = found.relation not in (None, "other")
    return f"  {DISAGREES} measured: {measured}" + (f" ({found.relation})" if is_known else "")


def measured_lines(found: Measured) -> Iterator[tuple[str, str]]:
    """Yield a label and a text for each value that was measured, or for why it was not."""
    beats, key = found.beats_s, found.key
    yield "tempo", _measured(found, "tempo_bpm", "{:.1f} BPM", found.tempo_bpm)
    if beats:
        shown = ", ".join(f"{beat_s:.2f}" for beat_s in beats[:SHOWN_BEATS])
        more = ", …" if len(beats) > SHOWN_BEATS else ""
        yield "beats", f"{len(beats):,}: {shown}{more} s"
    yield "key", _measured(found, "key", "{}", None if key is None else key.name)
    yield "loudness", _measured(found, "loudness_lufs", "{:.1f} LUFS", found.loudness_lufs)
    yield "range", _measured(found, "loudness_range_lu", "{:.1f} LU", found.loudness_range_lu)
    yield "true peak", _measured(found, "true_peak_dbtp", "{:.1f} dBTP", found.true_peak_dbtp)


def _measured(found: Measured, field: str, form: str, value: float | str | None) -> str:
    return (found.reasons or {}).get(field, "-") if value is None else form.format(value)


def _section_lines(section: TimedSection) -> Iterator[tuple[str, str]]:
    times = [clock(one) for one in (section.start_s, section.end_s) if one is not None]
    name = " ".join(filter(None, (section.name, "-".join(times))))
    if name or section.description:
        yield name, section.description or ""
    for line in section.lines:
        yield ("" if line.start_s is None else clock(line.start_s)), line.text


def _below(pointer: str, confidence: Mapping[str, float]) -> dict[str, float]:
    """Return the confidence in the values at a JSON Pointer, by their pointers from there."""
    return {
        name.removeprefix(pointer): each
        for name, each in confidence.items()
        if name == pointer or name.startswith(f"{pointer}/")
    }


def _value(value: Any, confidence: Mapping[str, float]) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(
            one + _percent(confidence.get(f"/{index}")) for index, one in enumerate(value)
        )
    if isinstance(value, str):
        text = value
    else:
        text = "-" if value is None else json.dumps(value, ensure_ascii=False)
    return text + _percent(min(confidence.values(), default=None))


def _percent(confidence: float | None) -> str:
    if confidence is None:
        return ""
    return f" ({confidence:.0%})" if confidence >= MIN_SHOWN else f" (<{MIN_SHOWN:.0%})"
