"""What became of servers from one look to the next, for who counts it: starts and drains.

Only what one process saw itself: a server that it first sees ready is no start of
its time; of a drain that it first sees under way, the end is.

Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from flamingo_operator.cluster.actions import Action, Delete
from flamingo_operator.cluster.cold_start import ColdStartPhases
from flamingo_operator.cluster.observed import Observed

End: TypeAlias = Literal["finished", "deadline", "taken_back"]


@dataclass(frozen=True, slots=True)
class ServerState:
    """A server, as it was at the last look."""

    has_started: bool
    owes_parts: bool = False
    """Its start was counted before its process had told what it did in it."""
    drain_started_s: float | None = None
    is_late: bool = False
    """Its drain's deadline passed before it was empty."""


@dataclass(frozen=True, slots=True)
class EndedDrain:
    """The end of a drain."""

    end: End
    took_s: float


@dataclass(frozen=True, slots=True)
class LifecycleEvents:
    """What happened since the last look."""

    starts: list[ColdStartPhases] = field(default_factory=list)
    process_phases: list[ColdStartPhases] = field(default_factory=list)
    """Of starts, told now or before: what the process says of its own part."""
    drains: list[EndedDrain] = field(default_factory=list)


def lifecycle_events(
    before: Mapping[str, ServerState],
    observed: Observed,
    actions: Iterable[Action],
    now_s: float,
    longest_s: float,
) -> tuple[dict[str, ServerState], LifecycleEvents]:
    """Return the servers' lives by uid, and what happened.

    `actions` are about to be done. No start takes more than `longest_s`: a server that
    is ready again after a fault looks like one to who began between the two.
    """
    cut = {one.ref.uid for one in actions if isinstance(one, Delete) and one.grace_s is not None}
    after: dict[str, ServerState] = {}
    told = LifecycleEvents()
    for pod in observed.pods:
        known, start = before.get(pod.ref.uid), pod.start
        is_new = start is not None and known is not None and not known.has_started
        owes_parts = known is not None and known.owes_parts
        if start is not None and is_new and start.total_s <= longest_s:
            told.starts.append(start)
            owes_parts = True
        if start is not None and owes_parts and start.is_split:
            told.process_phases.append(start)
            owes_parts = False
        is_late = pod.ref.uid in cut or (known is not None and known.is_late)
        after[pod.ref.uid] = ServerState(
            start is not None, owes_parts, pod.drain_started_s, is_late
        )
    told.drains.extend(_ends(before, after, now_s))
    return after, told


def _ends(
    before: Mapping[str, ServerState], after: Mapping[str, ServerState], now_s: float
) -> Iterable[EndedDrain]:
    for uid, life in before.items():
        if life.drain_started_s is None:
            continue
        took_s = max(0.0, now_s - life.drain_started_s)
        if uid not in after:
            yield EndedDrain("deadline" if life.is_late else "finished", took_s)
        elif after[uid].drain_started_s is None:
            yield EndedDrain("taken_back", took_s)
