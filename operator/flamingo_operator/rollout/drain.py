"""How long a draining pod is kept.

A ready pod that is to be removed is first taken out of its Service: it finishes its
requests in flight, and can be put back into rotation if it is needed again. It is
deleted once it has none left, or at its deadline, which is predicted from its backlog.
A prediction may be too low, and deleting the pod would abort its streams: a pod that is
still busy gets an extension, up to spec.drain.deadlineSeconds. Requests that have not
started a response by then are retried by the router on another pod. A pod that does not
report its load is deleted once it has left its endpoints: on SIGTERM it drains by
itself, within its grace period.

Pure.
"""

from dataclasses import dataclass

from flamingo_operator.api.rollout import DrainSpec
from flamingo_operator.cluster.observed import Load, Pod

POLL_S = 1.0
"""Interval at which a draining pod is polled."""
MARGIN = 1.5
"""Factor over the backlog that the pod itself predicts."""
MIN_DRAIN_S = 10.0
FORCED_GRACE_S = 10
"""Termination grace period of a pod that is deleted at its deadline."""


@dataclass(frozen=True, slots=True)
class KeepDraining:
    """Keep the pod, and check it again at `until_s`."""

    until_s: float


@dataclass(frozen=True, slots=True)
class ExtendDeadline:
    """Keep the pod until a later deadline."""

    until_s: float


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete the pod now."""

    why: str
    grace_s: int | None = None
    """Termination grace period; None: the pod's own."""


def deadline_s(load: Load | None, spec: DrainSpec, now_s: float) -> float:
    """Return the deadline of a pod whose drain starts now."""
    if load is None:
        return now_s + _longest_drain_s(spec)
    return now_s + min(_longest_drain_s(spec), spec.settle_seconds + _predicted_s(load))


def _longest_drain_s(spec: DrainSpec) -> float:
    return float(spec.settle_seconds + spec.deadline_seconds)


def _predicted_s(load: Load) -> float:
    return MIN_DRAIN_S + MARGIN * load.backlog_s


def next_drain_step(
    pod: Pod, load: Load | None, spec: DrainSpec, now_s: float
) -> KeepDraining | ExtendDeadline | DeletePod:
    """Return whether a draining pod is kept or deleted now; `load` is None if it is unknown."""
    assert pod.drain_started_s is not None
    settled_s = pod.drain_started_s + spec.settle_seconds
    until_s = pod.drain_until_s if pod.drain_until_s is not None else settled_s
    if now_s < settled_s:
        return KeepDraining(settled_s)
    if load is None or not pod.is_ready:
        return DeletePod("not ready, or reports no load; drains on SIGTERM")
    if load.num_in_flight == 0:
        return DeletePod("no requests in flight")
    if now_s < until_s:
        return KeepDraining(min(until_s, now_s + POLL_S))
    last_s = pod.drain_started_s + _longest_drain_s(spec)
    if now_s < last_s:
        return ExtendDeadline(min(last_s, now_s + _predicted_s(load)))
    return DeletePod("drain deadline exceeded", FORCED_GRACE_S)
