"""What the routers say of the demand → the demand of the whole fleet.

Each replica of the router sees its own share of the requests and all of the pods;
so what arrives and what is queued is summed, and a pod's backlog is counted once.

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
"""A figure older than this is not acted upon: songs come and go within it."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What comes per second, or what waits: the same in two units."""

    audio_s: float = 0.0
    work_s: float = 0.0
    """Predicted seconds of one pod; 0 where the router does not predict."""

    def __add__(self, other: "Flow") -> "Flow":
        return Flow(self.audio_s + other.audio_s, self.work_s + other.work_s)

    def __mul__(self, share: float) -> "Flow":
        return Flow(share * self.audio_s, share * self.work_s)

    def pods(self, audio_s_per_s: float) -> float:
        """Return the work in seconds of one pod: as predicted, else by a pod's capacity."""
        return self.work_s or self.audio_s / audio_s_per_s


@dataclass(frozen=True, slots=True)
class RouterSignal:
    """What one router said."""

    seen_s: float
    """When, by the operator's own clock."""
    arriving: Flow = Flow()
    """Per second, over the longest time that it tells of: five minutes."""
    burst: Flow = Flow()
    """Per second, over the shortest: one minute."""
    queued: Flow = Flow()
    """Requests that it holds because no pod may have them yet."""
    is_asked: bool = False
    """Whether any request waits, or arrived in that minute, be it of no audio."""
    backlogs_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds of work that each pod has left, by its address."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of the fleet."""

    arriving: Flow
    burst: Flow
    queued: Flow
    backlog_s: float
    """Seconds of work that all pods together have left."""
    is_idle: bool
    """Nothing arrives, waits or runs."""
    is_partial: bool
    """Some ready router was not heard; the sums are scaled up by their share."""


def parse(body: Json, *, seen_s: float) -> RouterSignal:
    """Return what a `/fleet` answer says; what it leaves out counts as nothing."""
    queue = body.get("queue")
    queue = queue if isinstance(queue, Mapping) else {}
    arrivals = sorted(_objects(body.get("arrivals")), key=lambda one: _number(one, "window_s"))
    return RouterSignal(
        seen_s=seen_s,
        arriving=_flow(arrivals[-1]) if arrivals else Flow(),
        burst=_flow(arrivals[0]) if arrivals else Flow(),
        queued=_flow(queue),
        is_asked=any(_number(one, "num") for one in (queue, *arrivals[:1])),
        backlogs_s={
            str(one["address"]): _number(one, "backlog_s")
            for one in _objects(body.get("endpoints"))
            if "address" in one
        },
    )


def reports(body: Json) -> Iterator[tuple[str, LoadReport]]:
    """Yield what the pods told the router last, each by its address."""
    for one in _objects(body.get("endpoints")):
        try:
            yield str(one["address"]), LoadReport.model_validate(one["load"])
        except (KeyError, ValidationError):
            continue  # unknown to the router, or of another release: it teaches nothing


def demand(signals: Mapping[str, RouterSignal], *, num_routers: int, now_s: float) -> Demand | None:
    """Return what is asked of the fleet; None when no router was heard of late.

    `signals` holds the last word of each router by its name, `num_routers` counts
    the routers that are ready and so should have spoken.
    """
    heard = [one for one in signals.values() if 0 <= now_s - one.seen_s <= MAX_AGE_S]
    if not heard:
        return None
    share = max(1.0, num_routers / len(heard))
    backlogs_s: dict[str, float] = {}
    for one in heard:
        for address, backlog_s in one.backlogs_s.items():
            backlogs_s[address] = max(backlog_s, backlogs_s.get(address, 0.0))
    backlog_s = sum(backlogs_s.values())
    return Demand(
        arriving=sum((one.arriving for one in heard), Flow()) * share,
        burst=sum((one.burst for one in heard), Flow()) * share,
        queued=sum((one.queued for one in heard), Flow()) * share,
        backlog_s=backlog_s,
        is_idle=not (backlog_s or any(one.is_asked for one in heard)),
        is_partial=len(heard) < num_routers,
    )


def _flow(body: Json) -> Flow:
    return Flow(_number(body, "audio_s"), _number(body, "work_s"))


def _number(body: Json, name: str) -> float:
    found = body.get(name)
    if isinstance(found, int | float) and isfinite(found):
        return max(0.0, float(found))
    return 0.0


def _objects(found: Any) -> list[Json]:
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
