"""Attribution of a step's time to the sequences in it.

Two rules. The time for audio windows is split evenly between the windows that were encoded, or,
if all came from a cache, between those that were requested. The rest of the step is split between
its sequences by the rows of the batch that each contributed; a prefill row and a decode row weigh
the same, since both go through the same matrix products.

The shares of a step add up to its duration, and work that a cache or another sequence had already
done is not charged again.

Pure.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from flamingo_pod.engine.scheduling import sequence
from flamingo_pod.engine.scheduling.step_plan import StepPlan, WindowJob


@dataclass(slots=True)
class StepShare:
    """One sequence's share of a step, in seconds."""

    windows_s: float = 0.0
    """For audio windows."""
    rows_s: float = 0.0
    """For rows of the batch."""

    @property
    def total_s(self) -> float:
        """Both."""
        return self.windows_s + self.rows_s


def split_step_time(
    plan: StepPlan, encoded: Sequence[WindowJob], *, step_s: float, windows_s: float
) -> Mapping[sequence.Sequence, StepShare]:
    """Return each sequence's share of `step_s`, of which audio windows took `windows_s`."""
    jobs = [(job.sequence, 1) for job in encoded or plan.windows]
    rows = [(chunk.sequence, chunk.num_tokens) for chunk in plan.chunks]
    for_windows_s = (windows_s if rows else step_s) if jobs else 0.0
    shares: dict[sequence.Sequence, StepShare] = {}
    for each, share_s in _split(for_windows_s, jobs):
        shares.setdefault(each, StepShare()).windows_s += share_s
    for each, share_s in _split(step_s - for_windows_s, rows):
        shares.setdefault(each, StepShare()).rows_s += share_s
    return shares


def _split(
    seconds: float, weights: Collection[tuple[sequence.Sequence, int]]
) -> list[tuple[sequence.Sequence, float]]:
    total = sum(weight for _, weight in weights)
    return [(each, seconds * weight / total) for each, weight in weights]
