"""How long a pod that leaves is waited for.

A pod that serves is first taken out of its Service and held: it finishes what it
has, and can be put back if it is wanted again. It is deleted when it is empty, or
at its deadline, which follows from the work that it holds. Such a forecast may be
too low, and a stream that is cut is lost: a pod that still works then gets another,
up to the time that the user gave. What has not begun by then is asked again elsewhere
by the router. A pod that does not say what it holds is deleted once its endpoints
have settled: it drains by itself on SIGTERM, within its grace period.

Pure.
"""

from dataclasses import dataclass

from flamingo_operator.api.rollout import DrainSpec
from flamingo_operator.cluster.observed import Load, Pod

POLL_S = 1.0
MARGIN = 1.5
"""Over the pod's own prediction."""
LEAST_S = 10.0
CUT_S = 10
"""Grace after the deadline."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Look again at a moment."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Extend:
    """Give it until a later moment."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Leave:
    """Delete it now."""

    why: str
    grace_s: int | None = None


def deadline_s(load: Load | None, spec: DrainSpec, now_s: float) -> float:
    """Return the moment until which a pod that now starts to drain may take."""
    if load is None:
        return now_s + _most_s(spec)
    return now_s + min(_most_s(spec), spec.settle_seconds + _forecast_s(load))


def _most_s(spec: DrainSpec) -> float:
    return float(spec.settle_seconds + spec.deadline_seconds)


def _forecast_s(load: Load) -> float:
    return LEAST_S + MARGIN * load.backlog_s


def verdict(pod: Pod, load: Load | None, spec: DrainSpec, now_s: float) -> Hold | Extend | Leave:
    """Return whether a draining pod goes now."""
    assert pod.drain_started_s is not None
    settled_s = pod.drain_started_s + spec.settle_seconds
    until_s = pod.drain_until_s if pod.drain_until_s is not None else settled_s
    if now_s < settled_s:
        return Hold(settled_s)
    if not pod.is_ready or load is None:
        return Leave("it drains by itself")
    if load.num_in_flight == 0:
        return Leave("it is empty")
    if now_s < until_s:
        return Hold(min(until_s, now_s + POLL_S))
    last_s = pod.drain_started_s + _most_s(spec)
    if now_s < last_s:
        return Extend(min(last_s, now_s + _forecast_s(load)))
    return Leave("its drain's deadline has passed", CUT_S)
