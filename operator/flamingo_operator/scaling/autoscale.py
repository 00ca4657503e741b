"""Demand, capacity, what was decided before → how many servers there should be.

Three needs are computed, and the largest counts: so many that the arriving audio takes
the wanted share of their capacity, so many that a minute's burst fits into all of it,
and so many that what waits is done within the wanted time. Then, in this order: the
need must last (stabilisation), few are added while others start and few are drained at
once (steps), and the bounds hold always.

Without a signal the number stays. With part of it, it may grow and not shrink.

Pure.
"""

from dataclasses import dataclass, replace
from math import ceil, floor, log10
from typing import Literal, TypeAlias

from flamingo_operator.api.scaling import ScaleUp, Scaling
from flamingo_operator.scaling.schedule import Bounds
from flamingo_operator.scaling.signals import Demand

Reason: TypeAlias = Literal[
    "ArrivalRate", "Burst", "QueueWait", "Idle", "Waking", "SignalLost", "Bounds", "Steady"
]
Bound: TypeAlias = Literal[
    "None", "Min", "Max", "Schedule", "Step", "Pending", "Stabilization", "SignalLoss"
]

TOLERANCE = 0.1
"""A need that differs by less than this share changes nothing: it is noise."""
LOST_S = 60.0
"""A signal that is gone for less is held, whatever onSignalLoss says."""
JUST_BEFORE_S = 1.0
MAX_HISTORY = 5


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the number, for the status."""

    at_s: float
    before: int
    after: int
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Memory:
    """What to remember from one decision to the next."""

    desired: int
    needs: tuple[tuple[float, int], ...] = ()
    """When, and how many were needed: as far back as the longer stabilisation."""
    idle_since_s: float | None = None
    lost_since_s: float | None = None
    history: tuple[Change, ...] = ()
    """The last changes, oldest first."""


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers that there are."""

    num_ready: int
    num_draining: int = 0


@dataclass(frozen=True, slots=True)
class Sight:
    """All that a decision depends on besides the spec and the memory."""

    now_s: float
    demand: Demand | None
    """None when no router was heard."""
    servers: Servers
    audio_s_per_s: float
    """Capacity of one server."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many servers there should be, and why."""

    replicas: int
    reason: Reason
    message: str
    bound: Bound
    """What keeps the number from what is needed."""
    needed: float
    """Servers that the demand would take, fractions included."""
    memory: Memory


@dataclass(frozen=True, slots=True)
class _Need:
    replicas: int
    reason: Reason
    message: str
    exact: float = 0.0
    is_urgent: bool = False
    """Somebody waits and nobody is there."""


def desired_replicas(scaling: Scaling, bounds: Bounds, sight: Sight, memory: Memory) -> Decision:
    """Return what to steer to now; `memory` is the last decision's, or says what there is."""
    memory = _looked(memory, sight)
    current = memory.desired
    need = _need(scaling, bounds, sight, memory)
    memory = _remembered(memory, need.replicas, scaling, sight.now_s)
    wanted = need.replicas if need.is_urgent else _lasting(memory, scaling, sight.now_s)
    bound: Bound = "None" if wanted == need.replicas else "Stabilization"
    if current == 1 and _is_long_idle(memory, scaling, sight.now_s):
        wanted, bound = 0, "None"  # idleSeconds is the last server's stabilisation
    elif wanted == 0 and current:
        wanted, bound = 1, "Stabilization"
    stepped, step_bound = _stepped(scaling, wanted, sight.servers, current)
    replicas = min(max(stepped, bounds.fewest), bounds.most)
    if sight.demand is None:
        bound = "SignalLoss"
    elif replicas != stepped:
        bound = _limit(bounds, scaling, is_floor=replicas > stepped)
    elif stepped != wanted:
        bound = step_bound
    reason: Reason = "Bounds" if replicas != stepped else need.reason
    return Decision(
        replicas=replicas,
        reason=reason,
        message=need.message,
        bound=bound,
        needed=need.exact,
        memory=_recorded(memory, replicas, reason, need.message, sight.now_s),
    )


def _looked(memory: Memory, sight: Sight) -> Memory:
    """Return `memory` with since when nothing is asked, or nothing is heard."""
    now_s = sight.now_s
    if sight.demand is None:
        # No news is not idleness: that is counted anew.
        since_s = now_s if memory.lost_since_s is None else memory.lost_since_s
        return replace(memory, idle_since_s=None, lost_since_s=since_s)
    since_s = now_s if memory.idle_since_s is None else memory.idle_since_s
    idle_since_s = since_s if _is_idle(sight.demand) else None
    return replace(memory, idle_since_s=idle_since_s, lost_since_s=None)


def _is_idle(demand: Demand) -> bool:
    return demand.is_idle and not demand.is_partial


def _is_long_idle(memory: Memory, scaling: Scaling, now_s: float) -> bool:
    since_s = memory.idle_since_s
    return since_s is not None and now_s - since_s >= scaling.scale_to_zero.idle_seconds


def _need(scaling: Scaling, bounds: Bounds, sight: Sight, memory: Memory) -> _Need:
    demand, current = sight.demand, memory.desired
    if demand is None:
        return _blind_need(scaling, bounds, sight.now_s, memory)
    if _is_idle(demand) or (demand.is_idle and current == 0):
        return _Need(0, "Idle", "no request arrives, waits or runs")
    exact, reason, message = _exact_need(scaling, demand, sight.audio_s_per_s)
    if current == 0:
        return _Need(
            max(1, ceil(exact)),
            "Waking",
            "a request waits for a first server",
            exact,
            is_urgent=True,
        )
    if abs(exact - current) <= TOLERANCE * current:
        return _Need(current, "Steady", message, exact)
    replicas = max(1, ceil(exact))
    if demand.is_partial and replicas < current:
        return _Need(current, "Steady", f"{message}; not every router was heard", exact)
    return _Need(replicas, reason, message, exact)


def _exact_need(scaling: Scaling, demand: Demand, rate: float) -> tuple[float, Reason, str]:
    aim = scaling.objective
    share = aim.utilization_percent / 100
    work_s = demand.queued.pods(rate) + demand.backlog_s
    # A minute's arrivals may take all of the capacity, five minutes' only their share of
    # it: tests/bench/autoscale_sim.py has what this is worth.
    needs: list[tuple[float, Reason, str]] = [
        (demand.arriving.pods(rate) / share, "ArrivalRate", "five minutes' arrivals"),
        (demand.burst.pods(rate), "Burst", "the last minute's arrivals"),
        (work_s / aim.queue_wait_seconds, "QueueWait", "the work that waits"),
    ]
    exact, reason, told = max(needs, key=lambda need: need[0])
    return exact, reason, f"{told} would take {_short(exact)} servers"


def _short(figure: float) -> str:
    """Return two digits that count: a status is not written for the third."""
    if figure <= 0:
        return "0"
    digits = 1 - floor(log10(figure))
    return f"{round(figure, digits):.{max(0, digits)}f}"


def _blind_need(scaling: Scaling, bounds: Bounds, now_s: float, memory: Memory) -> _Need:
    message = "no router was heard"
    is_short = memory.lost_since_s is None or now_s - memory.lost_since_s < LOST_S
    if is_short or scaling.on_signal_loss == "Hold":
        return _Need(memory.desired, "SignalLost", message)
    if scaling.on_signal_loss == "MaxReplicas":
        return _Need(bounds.most, "SignalLost", message)
    # Nobody said that nothing is asked, so the last server stays.
    return _Need(max(bounds.fewest, min(1, memory.desired)), "SignalLost", message)


def _remembered(memory: Memory, need: int, scaling: Scaling, now_s: float) -> Memory:
    # Who has just begun knows nothing of what was needed before: it counts what there is.
    earlier = memory.needs or ((now_s - JUST_BEFORE_S, memory.desired),)
    longest_s = max(
        scaling.scale_up.stabilization_seconds, scaling.scale_down.stabilization_seconds
    )
    kept = tuple(one for one in earlier if now_s - longest_s <= one[0] < now_s)
    if len(kept) > 1 and kept[-1][1] == kept[-2][1] == need:
        kept = kept[:-1]  # of a time in which nothing changed, begin and end say all
    return replace(memory, needs=(*kept, (now_s, need)))


def _lasting(memory: Memory, scaling: Scaling, now_s: float) -> int:
    """Return the number that was needed all the time: at least, to add; at most, to remove."""
    up_s, down_s = scaling.scale_up.stabilization_seconds, scaling.scale_down.stabilization_seconds
    least = min(need for at_s, need in memory.needs if at_s >= now_s - up_s)
    most = max(need for at_s, need in memory.needs if at_s >= now_s - down_s)
    return min(max(memory.desired, least), most)


def _stepped(scaling: Scaling, wanted: int, servers: Servers, current: int) -> tuple[int, Bound]:
    if wanted > current:
        num_pending = max(0, current - servers.num_ready)
        step, bound = _room(scaling.scale_up, num_pending)
        return min(wanted, current + step), bound
    step = max(0, scaling.scale_down.max_step - servers.num_draining)
    return max(wanted, current - step), "Step"


def _room(up: ScaleUp, num_pending: int) -> tuple[int, Bound]:
    """Return how many may be added: each that starts already would be asked for again."""
    room = max(0, up.max_pending - num_pending)
    return (room, "Pending") if room < up.max_step else (up.max_step, "Step")


def _limit(bounds: Bounds, scaling: Scaling, *, is_floor: bool) -> Bound:
    if is_floor:
        return "Schedule" if bounds.fewest != scaling.min_replicas else "Min"
    return "Schedule" if bounds.most != scaling.max_replicas else "Max"


def _recorded(memory: Memory, replicas: int, reason: Reason, message: str, now_s: float) -> Memory:
    if replicas == memory.desired:
        return memory
    change = Change(now_s, memory.desired, replicas, reason, message)
    history = (*memory.history, change)[-MAX_HISTORY:]
    return replace(memory, desired=replicas, history=history)
