"""The demand on a whole fleet, from the reports of its routers.

Each router replica sees its own share of the requests and all of the pods: so arrivals and
queues are summed, and a pod's backlog is counted once.

Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, TypeAlias

from pydantic import ValidationError

from flamingo_common.wire.report import LoadReport

Json: TypeAlias = Mapping[str, Any]

MAX_AGE_S = 30.0
"""An older report is not used: whole songs are processed within this time."""


@dataclass(frozen=True, slots=True)
class AudioDemand:
    """Audio that arrives per second, or that is queued: the same in two units."""

    audio_s: float = 0.0
    work_s: float = 0.0
    """Predicted seconds of one pod; 0 where the router does not predict."""

    def __add__(self, other: "AudioDemand") -> "AudioDemand":
        return AudioDemand(self.audio_s + other.audio_s, self.work_s + other.work_s)

    def __mul__(self, factor: float) -> "AudioDemand":
        return AudioDemand(factor * self.audio_s, factor * self.work_s)

    def pods(self, audio_s_per_s: float) -> float:
        """Return the work in seconds of one pod: as predicted, else by a pod's capacity."""
        return self.work_s or self.audio_s / audio_s_per_s


@dataclass(frozen=True, slots=True)
class DemandReport:
    """What one router reported."""

    received_s: float
    """When, by the operator's own clock."""
    arriving: AudioDemand = AudioDemand()
    """Per second, over the longest window that is reported: five minutes."""
    burst: AudioDemand = AudioDemand()
    """Per second, over the shortest: one minute."""
    queued: AudioDemand = AudioDemand()
    """Requests in the router's queue, which no pod can take yet."""
    has_requests: bool = False
    """Whether a request is queued or arrived in that minute, even one without audio."""
    backlogs_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds of work that each pod has left, by its address."""


@dataclass(frozen=True, slots=True)
class Demand:
    """The demand on the fleet."""

    arriving: AudioDemand
    burst: AudioDemand
    queued: AudioDemand
    backlog_s: float
    """Seconds of work that all pods together have left."""
    is_idle: bool
    """Nothing arrives, is queued or runs."""
    is_partial: bool
    """A ready router did not report; the sums are scaled up for it."""


def parse_report(body: Json, *, received_s: float) -> DemandReport:
    """Return the report in a `/fleet` response; a missing or invalid value counts as 0."""
    queue = body.get("queue")
    queue = queue if isinstance(queue, Mapping) else {}
    arrivals = sorted(_objects(body.get("arrivals")), key=lambda one: _number(one, "window_s"))
    return DemandReport(
        received_s=received_s,
        arriving=_audio_demand(arrivals[-1]) if arrivals else AudioDemand(),
        burst=_audio_demand(arrivals[0]) if arrivals else AudioDemand(),
        queued=_audio_demand(queue),
        has_requests=any(_number(one, "num") for one in (queue, *arrivals[:1])),
        backlogs_s={
            str(one["address"]): _number(one, "backlog_s")
            for one in _objects(body.get("endpoints"))
            if "address" in one
        },
    )


def pod_reports(body: Json) -> Iterator[tuple[str, LoadReport]]:
    """Yield the last load report of each pod in a `/fleet` response, by the pod's address."""
    for one in _objects(body.get("endpoints")):
        try:
            yield str(one["address"]), LoadReport.model_validate(one["load"])
        except (KeyError, ValidationError):
            continue  # not reported to the router yet, or by another release


def fleet_demand(
    reports: Mapping[str, DemandReport], *, num_routers: int, now_s: float
) -> Demand | None:
    """Return the demand on the fleet; None without a recent report.

    `reports` has the last one of each router by its name, `num_routers` counts the routers
    that are ready and so should have reported.
    """
    recent = [one for one in reports.values() if 0 <= now_s - one.received_s <= MAX_AGE_S]
    if not recent:
        return None
    factor = max(1.0, num_routers / len(recent))
    backlogs_s: dict[str, float] = {}
    for one in recent:
        for address, backlog_s in one.backlogs_s.items():
            backlogs_s[address] = max(backlog_s, backlogs_s.get(address, 0.0))
    backlog_s = sum(backlogs_s.values())
    return Demand(
        arriving=sum((one.arriving for one in recent), AudioDemand()) * factor,
        burst=sum((one.burst for one in recent), AudioDemand()) * factor,
        queued=sum((one.queued for one in recent), AudioDemand()) * factor,
        backlog_s=backlog_s,
        is_idle=not (backlog_s or any(one.has_requests for one in recent)),
        is_partial=len(recent) < num_routers,
    )


def _audio_demand(body: Json) -> AudioDemand:
    return AudioDemand(_number(body, "audio_s"), _number(body, "work_s"))


def _number(body: Json, name: str) -> float:
    found = body.get(name)
    if isinstance(found, int | float) and isfinite(found):
        return max(0.0, float(found))
    return 0.0


def _objects(found: Any) -> list[Json]:
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
