"""How many servers are wanted.

Pure.
"""

from dataclasses import dataclass, field

from flamingo_operator.spec import Spec


@dataclass(frozen=True, slots=True)
class Signals:
    """What the routers say, for mode Internal."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What scaling decided before."""

    num: int | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """The number of servers to steer to, and what is to be remembered of why."""

    num: int
    memory: Memory = field(default_factory=Memory)
    wake_s: float | None = None


def desired_replicas(spec: Spec, signals: Signals | None, memory: Memory, now_s: float) -> Desired:
    """Return how many servers are wanted now."""
    del signals, now_s
    if spec.suspend:
        return Desired(0, memory)
    if spec.scaling.mode == "External":
        return Desired(spec.replicas, memory)
    return Desired(max(spec.scaling.min_replicas, memory.num or 0), memory)
