"""Reads an answer that is text: headings, lines, and the times on either.

A time on a line of its own belongs to what follows it, up to an empty line. The first line of an
answer is left out if it only introduces the rest, as `Here are the lyrics:` does.

Pure.
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise

from flamingo_common.timed_text import headings
from flamingo_common.timed_text.content import Line, Section, TimedText
from flamingo_common.timed_text.headings import Heading
from flamingo_common.timed_text.times import DASHES, StatedTime, find_span

_METADATA = re.compile(r"\[(?:ar|ti|al|au|by|la|length|offset|re|ve|tool):[^\]]*\]|WEBVTT.*")
"""Lines of LRC and WebVTT that are not text."""
_RULE = re.compile(r"[-*_=|:\s]{3,}|```\w*")
"""Rules between paragraphs and rows, and fences."""
_INTRODUCTION = re.compile(r".*\b(?:lyrics?|structure|sections?|transcription|song)\b.*:")


MAX_LINE_CHARS = 500
"""A longer line is text without a time: headings and timed lines are short."""
_SEPARATORS = " \t:|" + DASHES


@dataclass(slots=True)
class _Draft:
    """A section that more lines are added to."""

    name: str | None
    start_s: float | None = None
    end_s: float | None = None
    description: str | None = None
    lines: list[Line] = field(default_factory=list)

    def finished(self) -> Section:
        return Section(self.name, self.start_s, self.end_s, tuple(self.lines), self.description)


@dataclass(slots=True)
class _Reader:
    drafts: list[_Draft] = field(default_factory=lambda: [_Draft(None)])
    faults: list[str] = field(default_factory=list)
    pending: StatedTime | None = None
    """A time on a line of its own."""

    def read(self, line: str) -> None:
        if len(line) > MAX_LINE_CHARS:
            self._add(line, None, self.pending)
            return
        line = " | ".join(filter(None, map(str.strip, line.split("|"))))
        text = headings.plain(line)
        span = find_span(text)
        if span is None:
            self._add(line, headings.heading_of(line), self.pending)
            return
        before, after = text[: span.begin], text[span.stop :]
        if headings.cleaned(before):
            self._named(line, before, after, span)
        elif headings.cleaned(after):
            rest = after.strip(_SEPARATORS)
            self._add(rest, headings.heading_of(rest), span)
        else:
            self._note_invalid(span)
            self.pending = span

    def _named(self, line: str, before: str, after: str, span: StatedTime) -> None:
        """Add a line that has its time at the end or in the middle."""
        name, rest = headings.cleaned(before), headings.cleaned(after)
        is_inside = before.lstrip().startswith("[") and "]" not in before
        if is_inside or (
            headings.is_name(name) and (span.is_bracketed or span.is_range or not rest)
        ):
            is_about = span.is_range or after.lstrip(" ])").startswith(tuple(":|" + DASHES))
            self._add(line, Heading(name, rest, is_separated=is_about), span)
        elif span.is_bracketed and not rest:
            self._add(before.strip(), None, span)
        else:
            self._add(line, headings.heading_of(line), self.pending)

    def _add(self, text: str, heading: Heading | None, span: StatedTime | None) -> None:
        if span is not None and span is not self.pending:
            self._note_invalid(span)
        start_s, end_s = (span.start_s, span.end_s) if span else (None, None)
        if heading is None:
            self.drafts[-1].lines.append(Line(text.strip("*_ \t"), start_s, end_s))
            return
        self.pending = None
        draft = _Draft(heading.name, start_s, end_s)
        is_about = heading.is_separated or (span is not None and span.is_range)
        if heading.rest and is_about:
            draft.description = heading.rest
        self.drafts.append(draft)
        if heading.rest and not is_about:
            self._add(heading.rest, None, span)

    def _note_invalid(self, span: StatedTime) -> None:
        self.faults += [f"{word} is not a valid time" for word in span.invalid]


def read(text: str) -> TimedText:
    """Return the sections of an answer that is text, and the times in it that are invalid."""
    reader = _Reader()
    lines = [line.strip() for line in text.splitlines()]
    for number, (line, following) in enumerate(pairwise([*lines, ""])):
        if not line:
            reader.pending = None
        elif not _is_left_out(line, following, is_first=number == _first(lines)):
            reader.read(line)
    sections = [draft.finished() for draft in reader.drafts]
    is_empty = not (sections[0].lines or sections[0].start_s is not None)
    return TimedText(tuple(sections[1:] if is_empty else sections), tuple(reader.faults))


def _first(lines: list[str]) -> int:
    return next((number for number, line in enumerate(lines) if line), 0)


def _is_left_out(line: str, following: str, *, is_first: bool) -> bool:
    if _METADATA.fullmatch(line) or _RULE.fullmatch(line):
        return True
    if line.isdecimal() and "-->" in following:
        return True
    if "|" in line and "|" in following and _RULE.fullmatch(following):
        return True  # the header of a table
    is_introduction = (
        is_first
        and len(line) <= MAX_LINE_CHARS
        and _INTRODUCTION.fullmatch(line.lower().strip("*_ "))
    )
    return bool(is_introduction) and headings.heading_of(line) is None
