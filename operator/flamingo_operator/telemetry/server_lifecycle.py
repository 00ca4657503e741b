"""Server pods that started, and drains that ended, between two reconciliations.

Only what this process observed itself is counted: a pod that is ready when it is
first observed is not a start; of a drain that was under way, only the end counts.

Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from flamingo_operator.cluster.actions import Action, Delete
from flamingo_operator.cluster.cold_start import ColdStartPhases
from flamingo_operator.cluster.observed import Observed

DrainResult: TypeAlias = Literal["finished", "deadline", "cancelled"]
DRAIN_RESULTS: Final[tuple[DrainResult, ...]] = get_args(DrainResult)


@dataclass(frozen=True, slots=True)
class ServerState:
    """A server pod, as of the last reconciliation."""

    has_started: bool
    lacks_process_phases: bool = False
    """Its start was counted before its process reported its own phases."""
    drain_started_s: float | None = None
    is_past_deadline: bool = False
    """Its drain's deadline passed while requests were still in flight."""


@dataclass(frozen=True, slots=True)
class EndedDrain:
    """The end of a drain."""

    result: DrainResult
    duration_s: float


@dataclass(frozen=True, slots=True)
class LifecycleEvents:
    """What happened since the last reconciliation."""

    starts: list[ColdStartPhases] = field(default_factory=list)
    process_phases: list[ColdStartPhases] = field(default_factory=list)
    """Of starts whose process has now reported its own phases."""
    drains: list[EndedDrain] = field(default_factory=list)


def lifecycle_events(
    before: Mapping[str, ServerState],
    observed: Observed,
    actions: Iterable[Action],
    now_s: float,
    longest_start_s: float,
) -> tuple[dict[str, ServerState], LifecycleEvents]:
    """Return the state of each server pod by uid, and what happened since `before`.

    `actions` are about to be done. A "start" of more than `longest_start_s` is not
    counted: a pod that becomes ready again after a failure looks like one when the
    operator started in between.
    """
    cut_off = {
        one.ref.uid for one in actions if isinstance(one, Delete) and one.grace_period_s is not None
    }
    after: dict[str, ServerState] = {}
    events = LifecycleEvents()
    for pod in observed.pods:
        known, start = before.get(pod.ref.uid), pod.start
        is_new = start is not None and known is not None and not known.has_started
        lacks_phases = known is not None and known.lacks_process_phases
        if start is not None and is_new and start.total_s <= longest_start_s:
            events.starts.append(start)
            lacks_phases = True
        if start is not None and lacks_phases and start.is_split:
            events.process_phases.append(start)
            lacks_phases = False
        is_late = pod.ref.uid in cut_off or (known is not None and known.is_past_deadline)
        after[pod.ref.uid] = ServerState(
            start is not None, lacks_phases, pod.drain_started_s, is_late
        )
    events.drains.extend(_ended_drains(before, after, now_s))
    return after, events


def _ended_drains(
    before: Mapping[str, ServerState], after: Mapping[str, ServerState], now_s: float
) -> Iterable[EndedDrain]:
    for uid, state in before.items():
        if state.drain_started_s is None:
            continue
        duration_s = max(0.0, now_s - state.drain_started_s)
        if uid not in after:
            yield EndedDrain("deadline" if state.is_past_deadline else "finished", duration_s)
        elif after[uid].drain_started_s is None:
            yield EndedDrain("cancelled", duration_s)
