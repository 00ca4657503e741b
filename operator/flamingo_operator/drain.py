"""How long a pod that leaves is waited for.

A pod that serves is first taken out of its Service and held: it finishes what it
has, and can be put back if it is wanted again. It is deleted when it is empty, or
at the deadline that the user gave. It is not cut earlier because its own forecast
was too low: a stream that is cut is lost. One that is stuck finds that out itself.
A pod that does not say what it holds is deleted once its endpoints have settled:
it drains by itself on SIGTERM, within its grace period.

Pure.
"""

from dataclasses import dataclass

from flamingo_operator.observed import Load, Pod
from flamingo_operator.spec_change import Drain as DrainSpec

POLL_S = 1.0
CUT_S = 10
"""Grace after the deadline."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Look again at a moment."""

    until_s: float


@dataclass(frozen=True, slots=True)
class Leave:
    """Delete it now."""

    why: str
    grace_s: int | None = None


def deadline_s(spec: DrainSpec, now_s: float) -> float:
    """Return the moment until which a pod that now starts to drain may take."""
    return now_s + spec.settle_seconds + spec.deadline_seconds


def verdict(pod: Pod, load: Load | None, spec: DrainSpec, now_s: float) -> Hold | Leave:
    """Return whether a draining pod goes now."""
    assert pod.drain_started_s is not None
    settled_s = pod.drain_started_s + spec.settle_seconds
    until_s = pod.drain_until_s if pod.drain_until_s is not None else settled_s
    if now_s < settled_s:
        return Hold(settled_s)
    if not pod.is_ready or load is None:
        return Leave("it drains by itself")
    if load.num_held == 0:
        return Leave("it is empty")
    if now_s >= until_s:
        return Leave("its drain's deadline has passed", CUT_S)
    return Hold(min(until_s, now_s + POLL_S))
