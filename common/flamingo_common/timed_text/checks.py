"""What is wrong with the times of an answer, given where its clip, or the part of it, ends.

Pure.
"""

from collections.abc import Iterator, Sequence

from flamingo_common.timed_text.content import Line, Section
from flamingo_common.timed_text.times import ROUNDING_S, clock, is_before


def faults(sections: tuple[Section, ...], clip_s: float, *, start_s: float = 0.0) -> Iterator[str]:
    """Yield what is wrong, each with its place: order, overlaps, and what is outside the clip.

    Of a part of a clip, `start_s` and `clip_s` are where it begins and ends on the clip's clock.
    """
    timed = [(_place(at, one), one) for at, one in enumerate(sections, 1)]
    yield from _sequence(timed, start_s, clip_s)
    lines = [
        (f"line {number}", line)
        for number, line in enumerate((line for one in sections for line in one.lines), 1)
    ]
    yield from _sequence(lines, start_s, clip_s)
    yield from _outside(sections)
    num_untimed = num_untimed_lines(sections)
    if 0 < num_untimed < len(lines):
        yield f"{num_untimed} of {len(lines)} lines have no time"


def num_untimed_lines(sections: tuple[Section, ...]) -> int:
    """Return how many lines have no time, neither their own nor that of their section."""
    return sum(
        line.start_s is None
        for section in sections
        for line in section.lines
        if section.start_s is None or any(one.start_s is not None for one in section.lines)
    )


def _place(number: int, section: Section) -> str:
    return f"section {number}" + (f" ({section.name})" if section.name else "")


def _sequence(
    items: Sequence[tuple[str, Section | Line]], part_s: float, clip_s: float
) -> Iterator[str]:
    """Yield the faults of items that follow each other, each with its place."""
    last_place, last_start_s, last_end_s = "", 0.0, 0.0
    last: tuple[float | None, float | None] = (None, None)
    for place, item in items:
        start_s, end_s = item.start_s, item.end_s
        yield from _alone(place, item, part_s, clip_s)
        if start_s is None:
            continue
        starts = f"{place}: starts at {clock(start_s)}, before {last_place}"
        if start_s < last_start_s:
            yield f"{starts} at {clock(last_start_s)}"
        elif start_s < last_end_s and (start_s, end_s) != last:
            yield f"{starts} ends at {clock(last_end_s)}"
        last_place, last_start_s, last = place, start_s, (start_s, end_s)
        last_end_s = start_s if end_s is None else max(start_s, end_s)


def _alone(place: str, item: Section | Line, part_s: float, clip_s: float) -> Iterator[str]:
    start_s, end_s = item.start_s, item.end_s
    if start_s is not None and end_s is not None and end_s <= start_s:
        yield f"{place}: ends at {clock(end_s)}, not after its start at {clock(start_s)}"
    if is_before(start_s, part_s):
        yield f"{place}: starts at {clock(start_s or 0)}, before the part at {clock(part_s)}"
    if start_s is not None and start_s >= clip_s:
        yield f"{place}: starts at {clock(start_s)}, after the end of the clip at {clock(clip_s)}"
    elif end_s is not None and end_s > clip_s + ROUNDING_S:
        yield f"{place}: ends at {clock(end_s)}, after the end of the clip at {clock(clip_s)}"


def _outside(sections: tuple[Section, ...]) -> Iterator[str]:
    number = 0
    for section in sections:
        for line in section.lines:
            number += 1
            start_s, end_s = section.start_s, section.end_s
            if start_s is None or end_s is None or line.start_s is None:
                continue
            if not start_s - ROUNDING_S <= line.start_s <= end_s + ROUNDING_S:
                yield f"line {number}: starts at {clock(line.start_s)}, outside its section"
