"""Times in text: `1:05`, `01:05.500`, `1:02:05,5`, `65.5 s`, alone or as a range.

Pure.
"""

import re
from dataclasses import dataclass

SECONDS_PER_MINUTE = 60
ROUNDING_S = 1.0
"""Answers have whole seconds: the end of a clip of 29.4 s is 0:30."""
DASHES = "-\u2013\u2014"
"""Hyphen, en dash and em dash."""
_CLOCK = r"(?:\d{1,2}:)?\d{1,3}:\d{2}(?:[.,]\d{1,3})?"
_SECONDS = r"\d{1,5}(?:\.\d{1,3})?\ ?s(?:ec(?:ond)?s?)?\b"
_DECIMAL = r"\d{1,5}\.\d{1,3}"
_TIME = rf"(?:{_CLOCK}|{_SECONDS}|{_DECIMAL})"
_TO = rf"\s{{0,4}}(?:-{{1,2}}>|[{DASHES}]|→|~|\||\bto\b|\buntil\b)\s{{0,4}}"
_SPAN = re.compile(
    rf"""(?P<open>[\[(<{{]?)\s?(?:from\s)?(?<![\d:.])
    (?:(?P<number>\d{{1,5}}){_TO}(?P<until>{_SECONDS})
      |(?P<start>{_TIME})(?:{_TO}(?P<end>{_TIME}))?)
    (?!\w|[:.,]\d)\s?(?P<close>[\])>}}]?)""",
    re.VERBOSE | re.IGNORECASE,
)
_IS_CLOCK = re.compile(_CLOCK)
ANY_TIME = re.compile(_TIME, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StatedTime:
    """A time or a range in a line of text."""

    start_s: float | None
    end_s: float | None
    begin: int
    """Where it begins in the text, with its bracket."""
    stop: int
    is_range: bool
    is_bracketed: bool
    invalid: tuple[str, ...] = ()
    """What looks like a time and is not one, such as `0:75`."""


def find_span(text: str) -> StatedTime | None:
    """Return the first time or range in `text`.

    A number of seconds counts in a range or in brackets only: `10 seconds to midnight` has none.
    """
    for found in _SPAN.finditer(text):
        start, end = found["start"] or found["number"], found["end"] or found["until"]
        is_bracketed = bool(found["open"] and found["close"])
        if not (end or is_bracketed or _IS_CLOCK.fullmatch(start)):
            continue
        values = {word: seconds_of(word) for word in (start, end) if word}
        return StatedTime(
            values[start],
            values[end] if end else None,
            found.start(),
            found.end(),
            is_range=end is not None,
            is_bracketed=is_bracketed,
            invalid=tuple(word for word, value in values.items() if value is None),
        )
    return None


def seconds_of(text: str) -> float | None:
    """Return a clock time or a number of seconds as seconds; None for `0:75` and other text."""
    text = text.strip()
    if not _IS_CLOCK.fullmatch(text):
        number = re.fullmatch(rf"({_DECIMAL}|\d{{1,5}})(?:\ ?s(?:ec(?:ond)?s?)?)?", text)
        return float(number[1]) if number else None
    *larger, seconds = text.replace(",", ".").split(":")
    whole = [int(part) for part in larger]
    is_valid = float(seconds) < SECONDS_PER_MINUTE and all(
        part < SECONDS_PER_MINUTE for part in whole[1:]
    )
    minutes = whole[-1] + SECONDS_PER_MINUTE * (whole[0] if len(whole) > 1 else 0)
    return round(SECONDS_PER_MINUTE * minutes + float(seconds), 3) if is_valid else None


def is_before(start_s: float | None, part_s: float) -> bool:
    """Whether a time is before a part of a clip that begins at `part_s`."""
    return start_s is not None and start_s < part_s - ROUNDING_S


def clock(seconds: float) -> str:
    """Return `m:ss.s`, for messages."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"
