"""Decides how many replicas there should be, from the demand and the capacity of a pod.

How it works. Three needs are computed, and the largest counts:

- arrival rate: the audio that arrived in five minutes takes at most utilizationPercent of
  the pods' capacity;
- burst: the audio of the last minute takes at most all of it;
- queue wait: the work that is queued or running is done within queueWaitSeconds.

A need within TOLERANCE of the current number changes nothing. The reserve comes on top of
the need, until the fleet has been idle for scaleToZero.idleSeconds. Then, in this order: a need
must last (stabilizationSeconds; the last pod is removed after scaleToZero.idleSeconds
instead), changes are made in steps (maxStep, and maxPending pods that start at one time),
and the limits (minReplicas, maxReplicas, schedules) always hold.

Without any demand report the number is kept for SIGNAL_LOSS_GRACE_S, then onSignalLoss
applies. With the reports of some routers only, it may grow and not shrink.

Pure.
"""

from dataclasses import dataclass, replace
from math import ceil, floor, log10
from typing import Literal, TypeAlias

from flamingo_operator.api.scaling import ScaleUp, Scaling
from flamingo_operator.scaling.demand import Demand
from flamingo_operator.scaling.reserve import exact_reserve, with_reserve
from flamingo_operator.scaling.schedule import ReplicaLimits

ScalingReason: TypeAlias = Literal[
    "ArrivalRate",
    "Burst",
    "QueueWait",
    "Idle",
    "Reserve",
    "ScaleFromZero",
    "SignalLost",
    "Limits",
    "Steady",
]
ScalingBound: TypeAlias = Literal[
    "None", "Min", "Max", "Schedule", "Step", "Pending", "Stabilization", "SignalLoss"
]

TOLERANCE = 0.1
"""A need that differs by less than this share from the current number is noise."""
SIGNAL_LOSS_GRACE_S = 60.0
"""How long the number is kept without demand reports, before onSignalLoss applies."""
JUST_BEFORE_S = 1.0
FROM_ZERO = "a request is waiting and there are no server pods"
MAX_HISTORY = 5


@dataclass(frozen=True, slots=True)
class ReplicaChange:
    """One change of the number of replicas, for the status."""

    at_s: float
    before: int
    after: int
    reason: ScalingReason
    message: str


@dataclass(frozen=True, slots=True)
class AutoscalerState:
    """What is kept from one decision to the next."""

    desired: int
    needs: tuple[tuple[float, int], ...] = ()
    """Times and needed replicas, as far back as the longer stabilization."""
    idle_since_s: float | None = None
    lost_since_s: float | None = None
    """Time since which there has been no demand report."""
    history: tuple[ReplicaChange, ...] = ()
    """The last changes, oldest first."""


@dataclass(frozen=True, slots=True)
class PodCounts:
    """The server pods that exist."""

    num_ready: int
    num_draining: int = 0


@dataclass(frozen=True, slots=True)
class ScalingInputs:
    """All that a decision depends on besides the spec and the state."""

    now_s: float
    demand: Demand | None
    """None without a load report from any router."""
    pods: PodCounts
    audio_s_per_s: float
    """Capacity of one pod."""


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """How many replicas there should be, and why."""

    replicas: int
    reason: ScalingReason
    message: str
    bound: ScalingBound
    """What keeps the number from what is needed."""
    needed: float
    """Replicas that the demand would take, fractions included, without the reserve."""
    reserve: int
    """How many of the replicas are in reserve."""
    state: AutoscalerState


@dataclass(frozen=True, slots=True)
class _Need:
    replicas: int
    """With the reserve."""
    reason: ScalingReason
    message: str
    exact: float = 0.0
    reserve: int = 0
    is_urgent: bool = False
    """A request is waiting and there is no pod: no stabilization."""


def scaling_decision(
    scaling: Scaling, limits: ReplicaLimits, inputs: ScalingInputs, state: AutoscalerState
) -> ScalingDecision:
    """Return the desired number of replicas; `state` is the last decision's."""
    state = _with_inputs(state, inputs)
    current = state.desired
    need = _need(scaling, limits, inputs, state)
    state = _with_need(state, need.replicas, scaling, inputs.now_s)
    stable = need.replicas if need.is_urgent else _stabilized(state, scaling, inputs.now_s)
    bound: ScalingBound = "None" if stable == need.replicas else "Stabilization"
    if _is_long_idle(state, scaling, inputs.now_s) and current <= _idle_replicas(scaling):
        stable, bound = 0, "None"  # idleSeconds is the stabilization of these pods
    elif stable == 0 and current:
        stable, bound = 1, "Stabilization"
    stepped, step_bound = _stepped(scaling, stable, inputs.pods, current)
    replicas = min(max(stepped, limits.min_replicas), limits.max_replicas)
    if inputs.demand is None:
        bound = "SignalLoss"
    elif replicas != stepped:
        bound = _limit_bound(limits, scaling, is_minimum=replicas > stepped)
    elif stepped != stable:
        bound = step_bound
    reason: ScalingReason = "Limits" if replicas != stepped else need.reason
    return ScalingDecision(
        replicas=replicas,
        reason=reason,
        message=need.message,
        bound=bound,
        needed=need.exact,
        reserve=min(need.reserve, max(0, replicas - (need.replicas - need.reserve))),
        state=_with_change(state, replicas, reason, need.message, inputs.now_s),
    )


def _with_inputs(state: AutoscalerState, inputs: ScalingInputs) -> AutoscalerState:
    """Return `state` with the time since which there is no demand, or no report of it."""
    now_s = inputs.now_s
    if inputs.demand is None:
        # A missing report does not mean that the fleet is idle: idleness starts over.
        since_s = now_s if state.lost_since_s is None else state.lost_since_s
        return replace(state, idle_since_s=None, lost_since_s=since_s)
    since_s = now_s if state.idle_since_s is None else state.idle_since_s
    idle_since_s = since_s if _is_idle(inputs.demand) else None
    return replace(state, idle_since_s=idle_since_s, lost_since_s=None)


def _is_idle(demand: Demand) -> bool:
    return demand.is_idle and not demand.is_partial


def _is_long_idle(state: AutoscalerState, scaling: Scaling, now_s: float) -> bool:
    since_s = state.idle_since_s
    return since_s is not None and now_s - since_s >= scaling.scale_to_zero.idle_seconds


def _need(
    scaling: Scaling, limits: ReplicaLimits, inputs: ScalingInputs, state: AutoscalerState
) -> _Need:
    demand, current = inputs.demand, state.desired
    if demand is None:
        return _need_without_reports(scaling, limits, inputs.now_s, state)
    if _is_idle(demand) or (demand.is_idle and current == 0):
        return _need_when_idle(scaling, state, inputs.now_s)
    exact, reason, message = _exact_need(scaling, demand, inputs.audio_s_per_s)
    part = exact_reserve(scaling.reserve, exact)
    message = with_reserve(message, scaling.reserve)
    replicas = max(1, ceil(exact + part))
    need = _Need(replicas, reason, message, exact, replicas - max(1, ceil(exact)))
    if current == 0:
        message = with_reserve(FROM_ZERO, scaling.reserve)
        return replace(need, reason="ScaleFromZero", message=message, is_urgent=True)
    if abs(exact + part - current) <= TOLERANCE * (current - part):
        return _Need(current, "Steady", message, exact, round(part))
    if demand.is_partial and replicas < current:
        message = f"{message}; not scaling down without reports from all routers"
        return _Need(current, "Steady", message, exact, need.reserve)
    return need


def _need_when_idle(scaling: Scaling, state: AutoscalerState, now_s: float) -> _Need:
    message = "no requests arriving, queued or running"
    reserve = round(exact_reserve(scaling.reserve, 0.0))
    if not reserve or state.desired == 0 or _is_long_idle(state, scaling, now_s):
        return _Need(0, "Idle", message)
    return _Need(reserve, "Reserve", f"{message}; {reserve} in reserve", reserve=reserve)


def _idle_replicas(scaling: Scaling) -> int:
    """Return how many replicas an idle fleet has until idleSeconds are over."""
    return max(1, round(exact_reserve(scaling.reserve, 0.0)))


def _exact_need(
    scaling: Scaling, demand: Demand, audio_s_per_s: float
) -> tuple[float, ScalingReason, str]:
    objective = scaling.objective
    utilization = objective.utilization_percent / 100
    work_s = demand.queued.pods(audio_s_per_s) + demand.backlog_s
    # A minute's arrivals may take all of the capacity, five minutes' only their share of
    # it: tests/bench/autoscale_sim.py measures what this gains.
    needs: list[tuple[float, ScalingReason, str]] = [
        (demand.arriving.pods(audio_s_per_s) / utilization, "ArrivalRate", "5-minute arrival rate"),
        (demand.burst.pods(audio_s_per_s), "Burst", "1-minute arrival rate"),
        (work_s / objective.queue_wait_seconds, "QueueWait", "queued work"),
    ]
    exact, reason, cause = max(needs, key=lambda need: need[0])
    return exact, reason, f"{cause} requires {_two_digits(exact)} replicas"


def _two_digits(figure: float) -> str:
    """Return a figure with two significant digits: more would only make the status flap."""
    if figure <= 0:
        return "0"
    digits = 1 - floor(log10(figure))
    return f"{round(figure, digits):.{max(0, digits)}f}"


def _need_without_reports(
    scaling: Scaling, limits: ReplicaLimits, now_s: float, state: AutoscalerState
) -> _Need:
    message = "no load report received from any router"
    is_short = state.lost_since_s is None or now_s - state.lost_since_s < SIGNAL_LOSS_GRACE_S
    if is_short or scaling.on_signal_loss == "Hold":
        return _Need(state.desired, "SignalLost", message)
    if scaling.on_signal_loss == "MaxReplicas":
        return _Need(limits.max_replicas, "SignalLost", message)
    # No router reported that the fleet is idle, so the last pod stays.
    return _Need(max(limits.min_replicas, min(1, state.desired)), "SignalLost", message)


def _with_need(
    state: AutoscalerState, need: int, scaling: Scaling, now_s: float
) -> AutoscalerState:
    # A new operator has no record of earlier needs: it assumes that what exists was needed.
    earlier = state.needs or ((now_s - JUST_BEFORE_S, state.desired),)
    longest_s = max(
        scaling.scale_up.stabilization_seconds, scaling.scale_down.stabilization_seconds
    )
    kept = tuple(one for one in earlier if now_s - longest_s <= one[0] < now_s)
    if len(kept) > 1 and kept[-1][1] == kept[-2][1] == need:
        kept = kept[:-1]  # of a period without changes, the begin and the end suffice
    return replace(state, needs=(*kept, (now_s, need)))


def _stabilized(state: AutoscalerState, scaling: Scaling, now_s: float) -> int:
    """Return the number that was needed throughout: the least to add, the most to remove."""
    up_s, down_s = scaling.scale_up.stabilization_seconds, scaling.scale_down.stabilization_seconds
    lowest = min(need for at_s, need in state.needs if at_s >= now_s - up_s)
    highest = max(need for at_s, need in state.needs if at_s >= now_s - down_s)
    return min(max(state.desired, lowest), highest)


def _stepped(
    scaling: Scaling, stable: int, pods: PodCounts, current: int
) -> tuple[int, ScalingBound]:
    if stable > current:
        num_pending = max(0, current - pods.num_ready)
        step, bound = _max_to_add(scaling.scale_up, num_pending)
        return min(stable, current + step), bound
    step = max(0, scaling.scale_down.max_step - pods.num_draining)
    return max(stable, current - step), "Step"


def _max_to_add(up: ScaleUp, num_pending: int) -> tuple[int, ScalingBound]:
    """Return how many may be added: a pod that is starting must not be requested again."""
    room = max(0, up.max_pending - num_pending)
    return (room, "Pending") if room < up.max_step else (up.max_step, "Step")


def _limit_bound(limits: ReplicaLimits, scaling: Scaling, *, is_minimum: bool) -> ScalingBound:
    if is_minimum:
        return "Schedule" if limits.min_replicas != scaling.min_replicas else "Min"
    return "Schedule" if limits.max_replicas != scaling.max_replicas else "Max"


def _with_change(
    state: AutoscalerState, replicas: int, reason: ScalingReason, message: str, now_s: float
) -> AutoscalerState:
    if replicas == state.desired:
        return state
    change = ReplicaChange(now_s, state.desired, replicas, reason, message)
    history = (*state.history, change)[-MAX_HISTORY:]
    return replace(state, desired=replicas, history=history)
