"""What a computed step adds to the stats of its requests.

Pure: the caller measures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flamingo_pod.engine.scheduling.step_plan import StepPlan, WindowJob
from flamingo_pod.engine.steps.shares import split_step_time


@dataclass(frozen=True, slots=True)
class StepTimes:
    """When a step began, and how long it took."""

    started_s: float
    step_s: float
    windows_s: float
    """The part of `step_s` that audio windows took."""


def record_step(plan: StepPlan, encoded: Sequence[WindowJob], times: StepTimes) -> None:
    """Add a step to its requests' stats; `encoded` are the windows that no cache had."""
    for job in encoded:
        job.sequence.stats.record_encoded_windows(1)
    for chunk in plan.chunks:
        stats = chunk.sequence.stats
        stats.num_prompt_tokens_left = max(0, chunk.sequence.num_prompt - chunk.stop)
        if chunk.start < chunk.sequence.num_prefix:
            stats.num_prefix_tokens_computed += chunk.num_tokens
    shares = split_step_time(plan, encoded, step_s=times.step_s, windows_s=times.windows_s)
    for sequence, share in shares.items():
        stats = sequence.stats
        stats.compute_s += share.total_s
        stats.encode_s += share.windows_s
        if share.windows_s:
            stats.encoded_s = times.started_s + times.windows_s
        if stats.started_s is None:
            stats.started_s = times.started_s
