"""The cold start of server pods: how long each phase took, and a summary of many starts.

Kubernetes records when a pod was scheduled and when its container started. What the
process did after that, it reports itself through a router; until that report arrives,
all of the remaining time counts as loading.

Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any, TypeAlias

from flamingo_common.wire.report import StartReport
from flamingo_operator.api import timestamps

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ColdStartPhases:
    """Seconds from a pod's creation until it was ready for the first time, phase by phase."""

    schedule_s: float
    image_pull_s: float
    """From scheduling to the container's start, including mounting volumes."""
    load_s: float
    fetch_s: float = 0.0
    warm_s: float = 0.0
    is_split: bool = False
    """Whether the process reported its own phases; if not, `load_s` contains them all."""

    @property
    def total_s(self) -> float:
        """The whole cold start."""
        return self.schedule_s + self.image_pull_s + self.fetch_s + self.load_s + self.warm_s


@dataclass(frozen=True, slots=True)
class ColdStartSummary:
    """Percentiles and mean phases of several cold starts."""

    num_starts: int
    p50_s: float
    p95_s: float
    mean: ColdStartPhases


def pod_phases(pod: Json) -> ColdStartPhases | None:
    """Return the phases of a pod that is ready and was never restarted; None for any other."""
    scheduled_s, ready_s = _since_s(pod, "PodScheduled"), _since_s(pod, "Ready")
    started_s = _started_s(pod)
    if scheduled_s is None or started_s is None or ready_s is None:
        return None
    created_s = timestamps.parse(pod["metadata"]["creationTimestamp"])
    return ColdStartPhases(
        schedule_s=max(0.0, scheduled_s - created_s),
        image_pull_s=max(0.0, started_s - scheduled_s),
        load_s=max(0.0, ready_s - started_s),
    )


def with_start_report(phases: ColdStartPhases, report: StartReport) -> ColdStartPhases:
    """Return `phases` with the loading split as the process reported it, unless it is already."""
    if phases.is_split:
        return phases
    fetch_s, warm_s = report.fetch_s, report.warm_s
    load_s = max(0.0, phases.load_s - fetch_s - warm_s)
    return replace(phases, fetch_s=fetch_s, load_s=load_s, warm_s=warm_s, is_split=True)


def summarize(starts: Sequence[ColdStartPhases]) -> ColdStartSummary | None:
    """Return percentiles and mean phases; None without starts."""
    if not starts:
        return None
    totals = sorted(one.total_s for one in starts)
    # Only starts whose process reported its phases, if there are any: zeros would falsify the mean.
    split = [one for one in starts if one.is_split] or starts
    return ColdStartSummary(
        num_starts=len(starts),
        p50_s=_quantile(totals, 0.5),
        p95_s=_quantile(totals, 0.95),
        mean=ColdStartPhases(
            schedule_s=mean(one.schedule_s for one in split),
            image_pull_s=mean(one.image_pull_s for one in split),
            load_s=mean(one.load_s for one in split),
            fetch_s=mean(one.fetch_s for one in split),
            warm_s=mean(one.warm_s for one in split),
            is_split=split[0].is_split,
        ),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[round(share * (len(ordered) - 1))]


def _since_s(pod: Json, kind: str) -> float | None:
    for one in pod.get("status", {}).get("conditions") or ():
        if one["type"] == kind and one["status"] == "True" and one.get("lastTransitionTime"):
            return timestamps.parse(one["lastTransitionTime"])
    return None


def _started_s(pod: Json) -> float | None:
    """Return when the containers started; None if one restarted or does not run."""
    started_s = None
    for one in pod.get("status", {}).get("containerStatuses") or ():
        running = one.get("state", {}).get("running")
        if one.get("restartCount") or not running:
            return None
        started_s = max(started_s or 0.0, timestamps.parse(running["startedAt"]))
    return started_s
