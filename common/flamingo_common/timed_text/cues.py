"""What is shown during which time, from the times that an answer states.

Pure.
"""

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, replace

from flamingo_common.timed_text.content import Line, Section, TimedText
from flamingo_common.timed_text.times import is_before


@dataclass(frozen=True, slots=True)
class Cue:
    """Text that is shown from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Text and the times that the answer states for it."""

    text: str
    start_s: float | None = None
    end_s: float | None = None


def cues(content: TimedText, clip_s: float, *, start_s: float = 0.0) -> list[Cue]:
    """Return the cues by start; text without a time that is inside the clip has none.

    Of a part of a clip, `start_s` and `clip_s` are where it begins and ends.

    A cue that has no end, or one before its start, ends where the next one starts, and the last
    one with the clip.
    """
    timed = [
        entry for entry in entries(content, clip_s, start_s=start_s) if entry.start_s is not None
    ]
    timed.sort(key=lambda entry: entry.start_s or 0.0)
    starts_s = [entry.start_s or 0.0 for entry in timed]
    return [
        Cue(begins_s, _end_s(entry, begins_s, starts_s, clip_s), entry.text)
        for entry, begins_s in zip(timed, starts_s, strict=True)
    ]


def entries(content: TimedText, clip_s: float, *, start_s: float = 0.0) -> list[Entry]:
    """Return all text in its order. A section that has a time and no lines is `[its name]`.

    The lines of a section that has a time, and whose lines have none, are one entry. So are lines
    with the same times, and a line without a time that follows one without an end.
    """
    merged: list[list[Entry]] = []
    for entry in _entries(content, start_s, clip_s):
        if merged and _continues(merged[-1][0], entry):
            merged[-1].append(entry)
        else:
            merged.append([entry])
    return [replace(each[0], text="\n".join(one.text for one in each)) for each in merged]


def _continues(last: Entry, entry: Entry) -> bool:
    if last.start_s is None or entry.start_s is None:
        return last.start_s is not None and last.end_s is None
    return (entry.start_s, entry.end_s) == (last.start_s, last.end_s)


def _entries(content: TimedText, part_s: float, clip_s: float) -> Iterator[Entry]:
    for section in content.sections:
        has_timed_lines = any(line.start_s is not None for line in section.lines)
        if section.lines and (has_timed_lines or section.start_s is None):
            yield from (_entry(line.text, line, part_s, clip_s) for line in section.lines)
        elif section.lines:
            yield _entry("\n".join(line.text for line in section.lines), section, part_s, clip_s)
        elif section.name is not None and section.start_s is not None:
            text = f"[{section.name}] {section.description or ''}".rstrip()
            yield _entry(text, section, part_s, clip_s)


def _entry(text: str, timed: Line | Section, part_s: float, clip_s: float) -> Entry:
    start_s = timed.start_s
    if start_s is None or start_s >= clip_s or is_before(start_s, part_s):
        return Entry(text)
    return Entry(text, start_s, timed.end_s)


def _end_s(entry: Entry, start_s: float, starts_s: list[float], clip_s: float) -> float:
    if entry.end_s is not None and entry.end_s > start_s:
        return min(entry.end_s, clip_s)
    following = bisect.bisect_right(starts_s, start_s)
    return starts_s[following] if following < len(starts_s) else clip_s
