"""Answers to questions, as a table of a terminal has them.

Pure.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flamingo_common.timed_text.times import clock
from flamingo_common.wire.answers import Answer, TimedSection


def lines(answer: Answer) -> Iterator[tuple[str, str]]:
    """Yield a label and a text for each row of one answer; most labels are empty."""
    if answer.sections is not None:
        for section in answer.sections:
            yield from _section_lines(section)
        yield from (("fault", fault) for fault in answer.faults or ())
    elif isinstance(answer.parsed, Mapping):
        yield from ((str(name), _value(value)) for name, value in answer.parsed.items())
    elif answer.content:
        yield from (("", line) for line in answer.content.strip().splitlines())
    if answer.error is not None:
        yield "error", answer.error.message
    elif answer.finish_reason == "length":
        yield "cut", "at the token limit; see --max-tokens"


def _section_lines(section: TimedSection) -> Iterator[tuple[str, str]]:
    times = [clock(one) for one in (section.start_s, section.end_s) if one is not None]
    name = " ".join(filter(None, (section.name, "-".join(times))))
    if name or section.description:
        yield name, section.description or ""
    for line in section.lines:
        yield ("" if line.start_s is None else clock(line.start_s)), line.text


def _value(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
