"""Whose a step's time was.

Two rules: what hearing took is split evenly between the windows that were encoded
in it, or, if a cache had them all, between those it was asked for; the rest of the
step is split between its sequences by the rows that each brought. A row of a prompt
and a row that decodes weigh the same: computed together, they take the same products.

So the shares of a step add up to its time, and what a cache or a neighbour had
computed costs nobody twice. Pure.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from flamingo_pod.engine import sequence
from flamingo_pod.engine.scheduler import StepPlan, WindowJob


@dataclass(slots=True)
class StepShare:
    """One sequence's part of a step."""

    hear_s: float = 0.0
    rows_s: float = 0.0

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.hear_s + self.rows_s


def shares(
    plan: StepPlan, encoded: Sequence[WindowJob], *, step_s: float, hear_s: float
) -> Mapping[sequence.Sequence, StepShare]:
    """Return each sequence's part of `step_s`, of which hearing windows took `hear_s`."""
    hearers = [(job.sequence, 1) for job in encoded or plan.windows]
    rows = [(chunk.sequence, chunk.num_tokens) for chunk in plan.chunks]
    heard_s = (hear_s if rows else step_s) if hearers else 0.0
    parts: dict[sequence.Sequence, StepShare] = {}
    for each, share_s in _split(heard_s, hearers):
        parts.setdefault(each, StepShare()).hear_s += share_s
    for each, share_s in _split(step_s - heard_s, rows):
        parts.setdefault(each, StepShare()).rows_s += share_s
    return parts


def _split(
    seconds: float, weights: Collection[tuple[sequence.Sequence, int]]
) -> list[tuple[sequence.Sequence, float]]:
    total = sum(weight for _, weight in weights)
    return [(each, seconds * weight / total) for each, weight in weights]
