"""Which replica limits hold at a moment, and when they change next.

A window begins at the earlier, and ends at the later, of the moments that its local times
can mean: a time that the clocks skip in spring, or show twice in autumn, is two moments. So
once a year a schedule lasts an hour too long rather than an hour too short.

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
"""A weekly schedule starts again within this many days."""


@dataclass(frozen=True, slots=True)
class ReplicaLimits:
    """The minimum and maximum number of replicas at one moment."""

    min_replicas: int
    max_replicas: int
    schedule: str | None = None
    """The schedule that changed a limit of the spec; the first of several by name."""
    next_change_s: float | None = None
    """Unix time at which a schedule begins or ends; None without schedules."""


def replica_limits(
    scaling: Scaling, schedules: Sequence[Schedule], *, now_s: float
) -> ReplicaLimits:
    """Return the limits at `now_s`, Unix time.

    Of several active schedules the highest minimum and the lowest maximum hold; where they
    contradict each other, the maximum does: it is what limits the bill.
    """
    active = [one for one in schedules if _is_active(one, now_s)]
    maximum = min([scaling.max_replicas, *(s.max_replicas for s in active if s.max_replicas)])
    floor = max([scaling.min_replicas, *(s.min_replicas or 0 for s in active)])
    minimum = min(floor, maximum)
    effective = [
        one.name
        for one in active
        if (minimum > scaling.min_replicas and one.min_replicas == floor)
        or (maximum < scaling.max_replicas and one.max_replicas == maximum)
    ]
    next_change_s = _next_change_s(schedules, now_s)
    return ReplicaLimits(minimum, maximum, min(effective, default=None), next_change_s)


def _is_active(one: Schedule, now_s: float) -> bool:
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
    """Return the two moments that a local time can mean; on most days they are one."""
    local = datetime.combine(day, clock, zone)
    return local.timestamp(), local.replace(fold=1).timestamp()
