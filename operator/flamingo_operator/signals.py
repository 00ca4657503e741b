"""What the routers say of the demand → the demand of the whole fleet.

Each replica of the router sees its own share of the requests and all of the pods;
so what arrives and what is queued is summed, and a pod's backlog is counted once.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]

MAX_AGE_S = 30.0
"""A figure older than this is not acted upon: songs come and go within it."""


@dataclass(frozen=True, slots=True)
class RouterSignal:
    """What one router said."""

    seen_s: float
    """When, by the operator's own clock."""
    arriving_audio_s_per_s: float = 0.0
    arriving_requests_per_s: float = 0.0
    queued_audio_s: float = 0.0
    """Audio of requests that it holds because no pod may have them yet."""
    num_queued: int = 0
    is_cold: bool = False
    """Whether it knows of no pod that could answer."""
    backlogs_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds of work that each pod has left, by its address."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of the fleet."""

    arriving_audio_s_per_s: float
    queued_audio_s: float
    backlog_s: float
    """Seconds of work that all pods together have left."""
    is_idle: bool
    """Nothing arrives, waits or runs."""
    is_partial: bool
    """Some ready router was not heard; the sums are scaled up by their share."""


def parse(body: Json, *, seen_s: float) -> RouterSignal:
    """Return what a `/fleet` answer says; what it leaves out counts as nothing."""
    return RouterSignal(
        seen_s=seen_s,
        arriving_audio_s_per_s=_number(body, "arriving_audio_s_per_s_1m"),
        arriving_requests_per_s=_number(body, "arrivals_per_s_1m"),
        queued_audio_s=_number(body, "queued_audio_s"),
        num_queued=int(_number(body, "num_queued")),
        is_cold=body.get("is_cold") is True,
        backlogs_s={
            str(one["address"]): _number(one, "backlog_s")
            for one in _objects(body.get("endpoints"))
            if "address" in one
        },
    )


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
    arriving = share * sum(one.arriving_audio_s_per_s for one in heard)
    queued_audio_s = share * sum(one.queued_audio_s for one in heard)
    backlog_s = sum(backlogs_s.values())
    is_asked = any(one.num_queued or one.arriving_requests_per_s for one in heard)
    return Demand(
        arriving_audio_s_per_s=arriving,
        queued_audio_s=queued_audio_s,
        backlog_s=backlog_s,
        is_idle=not (is_asked or arriving or queued_audio_s or backlog_s),
        is_partial=len(heard) < num_routers,
    )


def _number(body: Json, name: str) -> float:
    found = body.get(name)
    if isinstance(found, int | float) and isfinite(found):
        return max(0.0, float(found))
    return 0.0


def _objects(found: Any) -> list[Json]:
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
