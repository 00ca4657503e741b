"""Whose a step's time was.

Two rules: what hearing took is split evenly between the windows that were encoded
in it, or, if a cache had them all, between those it was asked for; the rest of the
step is split between its sequences by the rows that each brought. A row of a prompt
and a row that decodes weigh the same: computed together, they take the same products.

So the shares of a step add up to its time, and what a cache or a neighbour had
computed costs nobody twice. Pure.
"""

from collections.abc import Collection, Mapping, Sequence

from flamingo_pod.engine import sequence
from flamingo_pod.engine.scheduler import Plan, WindowJob


def shares(
    plan: Plan, encoded: Sequence[WindowJob], *, step_s: float, hear_s: float
) -> Mapping[sequence.Sequence, float]:
    """Return each sequence's part of `step_s`, of which hearing windows took `hear_s`."""
    hearers = [job.sequence for job in encoded or plan.windows]
    rows = [(chunk.sequence, chunk.num_tokens) for chunk in plan.chunks]
    if not rows:
        return _split(step_s, [(each, 1) for each in hearers])
    heard_s = hear_s if hearers else 0.0
    parts = _split(heard_s, [(each, 1) for each in hearers])
    for each, share_s in _split(step_s - heard_s, rows).items():
        parts[each] = parts.get(each, 0.0) + share_s
    return parts


def _split(
    seconds: float, weights: Collection[tuple[sequence.Sequence, int]]
) -> dict[sequence.Sequence, float]:
    total = sum(weight for _, weight in weights)
    parts: dict[sequence.Sequence, float] = {}
    for each, weight in weights:
        parts[each] = parts.get(each, 0.0) + seconds * weight / total
    return parts
