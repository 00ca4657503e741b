"""Schedules and a moment → the bounds that hold, and when they change next.

A window begins at the earlier, and ends at the later, of the moments that its
times on the clock can mean: a time that the clocks skip in spring, or show twice in
autumn, is two moments. So a fleet is rather up for half an hour too long, once a
year, than missing.

Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

from flamingo_operator.api.scaling import Scaling
from flamingo_operator.api.schedule import Day, Schedule

DAYS = get_args(Day)
LOOK_BACK_DAYS = 2
LOOK_AHEAD_DAYS = 8
"""A weekly schedule starts again within so many."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The fewest and most servers at one moment."""

    fewest: int
    most: int
    schedule: str | None = None
    """The schedule that raised the fewest or lowered the most; the first of several by name."""
    next_change_s: float | None = None
    """Unix time at which a schedule begins or ends; None without schedules."""


def bounds(scaling: Scaling, schedules: Sequence[Schedule], *, now_s: float) -> Bounds:
    """Return the bounds at `now_s`, Unix time.

    Of several schedules the highest minimum and the lowest maximum hold; where
    they contradict each other, the maximum does: it is what bounds the bill.
    """
    held = [one for one in schedules if _is_held(one, now_s)]
    most = min([scaling.max_replicas, *(s.max_replicas for s in held if s.max_replicas)])
    floor = max([scaling.min_replicas, *(s.min_replicas or 0 for s in held)])
    fewest = min(floor, most)
    by = [
        one.name
        for one in held
        if (fewest > scaling.min_replicas and one.min_replicas == floor)
        or (most < scaling.max_replicas and one.max_replicas == most)
    ]
    return Bounds(fewest, most, min(by, default=None), _next_change_s(schedules, now_s))


def _is_held(one: Schedule, now_s: float) -> bool:
    return any(start_s <= now_s < end_s for start_s, end_s in _windows(one, now_s))


def _next_change_s(schedules: Sequence[Schedule], now_s: float) -> float | None:
    edges = (edge_s for one in schedules for window in _windows(one, now_s) for edge_s in window)
    return min((edge_s for edge_s in edges if edge_s > now_s), default=None)


def _windows(one: Schedule, now_s: float) -> Iterator[tuple[float, float]]:
    """Yield the begin and end of each window around `now_s`."""
    zone = ZoneInfo(one.time_zone)
    start, end = time.fromisoformat(one.start), time.fromisoformat(one.end)
    today = datetime.fromtimestamp(now_s, UTC).astimezone(zone).date()
    for offset in range(-LOOK_BACK_DAYS, LOOK_AHEAD_DAYS + 1):
        day = today + timedelta(days=offset)
        if DAYS[day.weekday()] in one.days:
            last = day if end > start else day + timedelta(days=1)
            yield min(_moments_s(day, start, zone)), max(_moments_s(last, end, zone))


def _moments_s(day: date, clock: time, zone: ZoneInfo) -> tuple[float, float]:
    """Return the two moments that a time on the clock can mean; on most days they are one."""
    shown = datetime.combine(day, clock, zone)
    return shown.timestamp(), shown.replace(fold=1).timestamp()
