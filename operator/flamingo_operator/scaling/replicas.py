"""How many replicas are desired, and what the status reports about it.

In mode Internal `autoscale` decides. What is reported is kept while only noise changes,
because a status is written whenever it differs.

Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flamingo_operator.api import timestamps
from flamingo_operator.api.spec import Spec
from flamingo_operator.scaling import autoscale
from flamingo_operator.scaling.autoscale import (
    AutoscalerState,
    PodCounts,
    ReplicaChange,
    ScalingDecision,
    ScalingInputs,
)
from flamingo_operator.scaling.capacity import PRIOR
from flamingo_operator.scaling.demand import Demand
from flamingo_operator.scaling.schedule import replica_limits

REPORT_INTERVAL_S = 15.0
"""Minimum interval between changes of the explanation while the number stays the same."""
NOISE = 0.2
"""A figure that differs by less than this share from the reported one is not reported."""
ALWAYS_REPORTED = frozenset({"Idle", "Reserve", "SignalLost"})
"""Reasons that are reported even if no figure changes."""
HARD_BOUNDS = frozenset({"Min", "Max", "Schedule", "SignalLoss"})


@dataclass(frozen=True, slots=True)
class DemandAndCapacity:
    """What the routers report. Scaling in mode External does not use it."""

    demand: Demand | None = None
    """None without a recent report from any router."""
    audio_s_per_s: float = PRIOR
    """Capacity of a mean pod."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Measured capacity of a pod, by GPU product."""


@dataclass(frozen=True, slots=True)
class ReportedScaling:
    """The explanation of the number in the status."""

    reason: str
    bound: str
    message: str
    reserve: int = 0
    """How many of the replicas are in reserve."""
    needed: float | None = None
    """None if an earlier process reported it."""
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ScalingState:
    """What is kept of earlier decisions and reports."""

    autoscaler: AutoscalerState | None = None
    reported: ReportedScaling | None = None
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DesiredReplicas:
    """The desired number of replicas, and its explanation."""

    num: int
    state: ScalingState = field(default_factory=ScalingState)
    requeue_at_s: float | None = None
    reported: ReportedScaling | None = None
    needed: float | None = None
    """Replicas that the demand would take, fractions included; None in mode External."""
    audio_s_per_s: float | None = None
    """Capacity of a mean pod; None in mode External."""

    @property
    def history(self) -> tuple[ReplicaChange, ...]:
        """The last changes, oldest first."""
        return self.state.autoscaler.history if self.state.autoscaler else ()


def from_status(status: Mapping[str, Any]) -> ScalingState:
    """Return the state that an earlier process left in the status.

    The CRD of an earlier release may have pruned fields of it.
    """
    scaling = status.get("scaling", {})
    if "desiredReplicas" not in scaling:
        return ScalingState()
    reported = None
    if "reason" in scaling:
        words = scaling["reason"], scaling.get("bound", ""), scaling.get("message", "")
        reported = ReportedScaling(*words, scaling.get("reserveReplicas", 0))
    return ScalingState(
        autoscaler=AutoscalerState(
            desired=scaling["desiredReplicas"], history=tuple(_changes(scaling))
        ),
        reported=reported,
        rates=dict(_rates(status)),
    )


def _changes(scaling: Mapping[str, Any]) -> Iterator[ReplicaChange]:
    for one in scaling.get("history", ()):
        if {"time", "fromReplicas", "toReplicas"} <= one.keys():
            yield ReplicaChange(
                at_s=timestamps.parse(one["time"]),
                before=one["fromReplicas"],
                after=one["toReplicas"],
                reason=one.get("reason", ""),
                message=one.get("message", ""),
            )


def _rates(status: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for one in status.get("capacity", {}).get("perProduct", ()):
        if {"product", "audioSecondsPerSecond"} <= one.keys():
            yield one["product"], float(one["audioSecondsPerSecond"])


def desired_replicas(
    spec: Spec, current: DemandAndCapacity, state: ScalingState, pods: PodCounts, now_s: float
) -> DesiredReplicas:
    """Return how many replicas are desired now."""
    if spec.suspend:
        return DesiredReplicas(0, state)
    rates = {name: _damped(one, state.rates.get(name)) for name, one in current.rates.items()}
    rates = rates or dict(state.rates)
    if spec.scaling.mode == "External":
        # A change to mode Internal continues from this number.
        return DesiredReplicas(
            spec.replicas, ScalingState(AutoscalerState(spec.replicas), rates=rates)
        )
    limits = replica_limits(spec.scaling, spec.scaling.schedules, now_s=now_s)
    before = state.autoscaler or AutoscalerState(limits.min_replicas)
    inputs = ScalingInputs(now_s, current.demand, pods, current.audio_s_per_s)
    decision = autoscale.scaling_decision(spec.scaling, limits, inputs, before)
    is_change = decision.replicas != before.desired
    reported = _reported(state.reported, decision, is_change=is_change, now_s=now_s)
    return DesiredReplicas(
        num=decision.replicas,
        state=ScalingState(decision.state, reported, rates),
        requeue_at_s=limits.next_change_s,
        reported=reported,
        needed=decision.needed,
        audio_s_per_s=current.audio_s_per_s,
    )


def _reported(
    before: ReportedScaling | None, decision: ScalingDecision, *, is_change: bool, now_s: float
) -> ReportedScaling:
    words = decision.reason, decision.bound, decision.message
    new = ReportedScaling(*words, decision.reserve, decision.needed, now_s)
    if before is None or is_change:
        return new
    lost_since_s = decision.state.lost_since_s
    if lost_since_s is not None and now_s - lost_since_s < autoscale.SIGNAL_LOSS_GRACE_S:
        return before  # reports are missing only briefly, or have not come yet
    has_changed = _category(new) != _category(before) or not _is_near(new.needed, before.needed)
    if has_changed and now_s - before.at_s >= REPORT_INTERVAL_S:
        return new
    if before.needed is None:
        return replace(before, needed=new.needed, at_s=now_s)
    return before


def _category(reported: ReportedScaling) -> tuple[str, str]:
    """Return what is reported even if no figure changes: other differences may be noise."""
    reason = reported.reason if reported.reason in ALWAYS_REPORTED else ""
    return reason, reported.bound if reported.bound in HARD_BOUNDS else ""


def _is_near(new: float | None, before: float | None) -> bool:
    if new is None or before is None:
        return True
    return abs(new - before) <= NOISE * max(new, before)


def _damped(rate: float, before: float | None) -> float:
    """Return a measured rate, or the one reported before if the difference is noise."""
    return before if before is not None and _is_near(rate, before) else rate
