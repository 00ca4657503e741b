"""How many servers are wanted, and what is told of why.

In mode Internal the demand decides (`autoscale`). What is told of it is held while
only noise changes, because a status is written whenever it differs.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flamingo_operator.api import timestamps
from flamingo_operator.api.spec import Spec
from flamingo_operator.scaling import autoscale
from flamingo_operator.scaling.autoscale import Change, Servers
from flamingo_operator.scaling.capacity import PRIOR
from flamingo_operator.scaling.schedule import bounds
from flamingo_operator.scaling.signals import Demand

TELL_S = 15.0
"""A number that stays is told of no more often."""
NOISE = 0.2
"""A figure that differs by less than this share from what was told is not told anew."""
TOLD_APART = frozenset({"Idle", "SignalLost"})
HARD = frozenset({"Min", "Max", "Schedule", "SignalLoss"})


@dataclass(frozen=True, slots=True)
class Signals:
    """What the routers say. Mode External acts on none of it."""

    demand: Demand | None = None
    """None when no router was heard."""
    audio_s_per_s: float = PRIOR
    """Capacity of a mean server."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """By GPU product, what was measured."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the status says of the number."""

    reason: str
    bound: str
    message: str
    needed: float | None = None
    """None: told by a process that is gone."""
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What scaling decided and told before."""

    scaling: autoscale.Memory | None = None
    told: Told | None = None
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Desired:
    """The number of servers to steer to, and what is to be remembered of why."""

    num: int
    memory: Memory = field(default_factory=Memory)
    wake_s: float | None = None
    told: Told | None = None
    needed: float | None = None
    """Servers that the demand would take, fractions included; None where it does not decide."""
    audio_s_per_s: float | None = None
    """Capacity of a mean server, as told."""

    @property
    def history(self) -> tuple[Change, ...]:
        """The last changes, oldest first."""
        return self.memory.scaling.history if self.memory.scaling else ()


def remembered(status: Mapping[str, Any]) -> Memory:
    """Return what a status that was written by an operator before this one remembers."""
    scaling = status.get("scaling", {})
    if "desiredReplicas" not in scaling:
        return Memory()
    changes = tuple(
        Change(
            at_s=timestamps.parse(one["time"]),
            before=one["fromReplicas"],
            after=one["toReplicas"],
            reason=one["reason"],
            message=one["message"],
        )
        for one in scaling.get("history", ())
    )
    told = None
    if "reason" in scaling:
        told = Told(scaling["reason"], scaling["bound"], scaling["message"])
    products = status.get("capacity", {}).get("perProduct", ())
    return Memory(
        scaling=autoscale.Memory(desired=scaling["desiredReplicas"], history=changes),
        told=told,
        rates={one["product"]: float(one["audioSecondsPerSecond"]) for one in products},
    )


def desired_replicas(
    spec: Spec, signals: Signals, memory: Memory, servers: Servers, now_s: float
) -> Desired:
    """Return how many servers are wanted now."""
    if spec.suspend:
        return Desired(0, memory)
    rates = {name: _held(one, memory.rates.get(name)) for name, one in signals.rates.items()}
    rates = rates or dict(memory.rates)
    if spec.scaling.mode == "External":
        # Who changes to mode Internal goes on from here.
        return Desired(spec.replicas, Memory(autoscale.Memory(spec.replicas), rates=rates))
    held = bounds(spec.scaling, spec.scaling.schedules, now_s=now_s)
    before = memory.scaling or autoscale.Memory(held.fewest)
    sight = autoscale.Sight(now_s, signals.demand, servers, signals.audio_s_per_s)
    decision = autoscale.desired_replicas(spec.scaling, held, sight, before)
    told = _told(memory.told, decision, is_change=decision.replicas != before.desired, now_s=now_s)
    return Desired(
        num=decision.replicas,
        memory=Memory(decision.memory, told, rates),
        wake_s=held.next_change_s,
        told=told,
        needed=decision.needed,
        audio_s_per_s=signals.audio_s_per_s,
    )


def _told(
    before: Told | None, decision: autoscale.Decision, *, is_change: bool, now_s: float
) -> Told:
    new = Told(decision.reason, decision.bound, decision.message, decision.needed, now_s)
    if before is None or is_change:
        return new
    lost_since_s = decision.memory.lost_since_s
    if lost_since_s is not None and now_s - lost_since_s < autoscale.LOST_S:
        return before  # nobody is heard for a moment, or not yet: that is no news
    is_news = _kind(new) != _kind(before) or not _is_near(new.needed, before.needed)
    if is_news and now_s - before.at_s >= TELL_S:
        return new
    if before.needed is None:
        return Told(before.reason, before.bound, before.message, new.needed, now_s)
    return before


def _kind(told: Told) -> tuple[str, str]:
    """Return what is told though it moves no figure: what else differs may be noise."""
    reason = told.reason if told.reason in TOLD_APART else ""
    return reason, told.bound if told.bound in HARD else ""


def _is_near(new: float | None, before: float | None) -> bool:
    if new is None or before is None:
        return True
    return abs(new - before) <= NOISE * max(new, before)


def _held(rate: float, before: float | None) -> float:
    """Return a measured rate, or the one that was told before if it is as good."""
    return before if before is not None and _is_near(rate, before) else rate
