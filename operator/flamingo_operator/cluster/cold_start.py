"""A server's pod → how long each part of its start took; many → the usual and the slow start.

Kubernetes says when a pod was placed and its container began; what the process did
then, it says itself, once a router was asked. Until then all of it is loading.

Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import mean
from typing import Any, TypeAlias

from flamingo_common.wire.report import StartReport

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ColdStartPhases:
    """Seconds from the creation of a pod to its first readiness, one phase after the other."""

    schedule_s: float
    image_pull_s: float
    """From its node to its container's start, volumes included."""
    load_s: float
    fetch_s: float = 0.0
    warm_s: float = 0.0
    is_split: bool = False
    """Whether the process told what it did: else `load_s` has all of it."""

    @property
    def total_s(self) -> float:
        """The cold start."""
        return self.schedule_s + self.image_pull_s + self.fetch_s + self.load_s + self.warm_s


@dataclass(frozen=True, slots=True)
class ColdStartSummary:
    """What starts were like."""

    num_starts: int
    p50_s: float
    p95_s: float
    mean: ColdStartPhases


def pod_phases(pod: Json) -> ColdStartPhases | None:
    """Return the phases of a pod that is ready and was never restarted; None of any other."""
    placed_s, ready_s = _since_s(pod, "PodScheduled"), _since_s(pod, "Ready")
    begun_s = _begun_s(pod)
    if placed_s is None or begun_s is None or ready_s is None:
        return None
    made_s = _unix_s(pod["metadata"]["creationTimestamp"])
    return ColdStartPhases(
        schedule_s=max(0.0, placed_s - made_s),
        image_pull_s=max(0.0, begun_s - placed_s),
        load_s=max(0.0, ready_s - begun_s),
    )


def with_start_report(seen: ColdStartPhases, told: StartReport) -> ColdStartPhases:
    """Return `seen` with its loading in the parts that the process told; once is enough."""
    if seen.is_split:
        return seen
    load_s = max(0.0, seen.load_s - told.fetch_s - told.warm_s)
    return replace(seen, fetch_s=told.fetch_s, load_s=load_s, warm_s=told.warm_s, is_split=True)


def summarize(starts: Sequence[ColdStartPhases]) -> ColdStartSummary | None:
    """Return the usual start and the slow one; None of no starts."""
    if not starts:
        return None
    totals = sorted(one.total_s for one in starts)
    # The parts of those that told them, if any did: a mean with noughts would be none.
    parted = [one for one in starts if one.is_split] or starts
    return ColdStartSummary(
        num_starts=len(starts),
        p50_s=_quantile(totals, 0.5),
        p95_s=_quantile(totals, 0.95),
        mean=ColdStartPhases(
            schedule_s=mean(one.schedule_s for one in parted),
            image_pull_s=mean(one.image_pull_s for one in parted),
            load_s=mean(one.load_s for one in parted),
            fetch_s=mean(one.fetch_s for one in parted),
            warm_s=mean(one.warm_s for one in parted),
            is_split=parted[0].is_split,
        ),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[round(share * (len(ordered) - 1))]


def _since_s(pod: Json, kind: str) -> float | None:
    for one in pod.get("status", {}).get("conditions") or ():
        if one["type"] == kind and one["status"] == "True" and one.get("lastTransitionTime"):
            return _unix_s(one["lastTransitionTime"])
    return None


def _begun_s(pod: Json) -> float | None:
    """Return when the pod's only start began; None if it began anew or has not begun."""
    begun_s = None
    for one in pod.get("status", {}).get("containerStatuses") or ():
        running = one.get("state", {}).get("running")
        if one.get("restartCount") or not running:
            return None
        begun_s = max(begun_s or 0.0, _unix_s(running["startedAt"]))
    return begun_s


def _unix_s(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
