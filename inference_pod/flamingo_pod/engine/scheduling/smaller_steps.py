"""Divide a step that does not fit into memory into smaller ones, and limit those after it.

Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from flamingo_pod.engine.scheduling.budget import TokenBudget
from flamingo_pod.engine.scheduling.scheduler import SchedulerLimits
from flamingo_pod.engine.scheduling.step_plan import Chunk, StepPlan

MIN_ROWS = 16
"""Of a step that is not divided further: it needs hardly more memory than one row."""


def halves(plan: StepPlan) -> list[StepPlan]:
    """Return steps that together compute the windows and chunks of `plan`, in this order.

    First windows and chunks are separated, then each is divided in half: windows by number, chunks
    by rows. Empty if the step is too small to be divided. Copies are not repeated.
    """
    if plan.windows and plan.chunks:
        return [
            StepPlan(windows=plan.windows),
            StepPlan(chunks=plan.chunks, num_decoding=plan.num_decoding),
        ]
    if len(plan.windows) > 1:
        half = len(plan.windows) // 2
        return [StepPlan(windows=plan.windows[:half]), StepPlan(windows=plan.windows[half:])]
    num_rows = sum(chunk.num_tokens for chunk in plan.chunks)
    return _chunk_halves(plan, num_rows // 2) if num_rows > MIN_ROWS else []


def limits_below(
    plan: StepPlan, limits: SchedulerLimits, budget: TokenBudget
) -> tuple[SchedulerLimits, int]:
    """Return the limits, and the most prompt tokens, of steps half as large as `plan`.

    Each is limited by what the plan has most of: windows, prompt tokens, or sequences that decode.
    A larger limit than that of a step that did not fit would only repeat it.
    """
    num_windows, num_tokens, num_seqs = len(plan.windows), plan.num_prefilled, plan.num_decoding
    if num_windows:
        num_windows = min(limits.max_windows_per_step, max(num_windows // 2, 1))
        return replace(limits, max_windows_per_step=num_windows), budget.max_tokens
    if num_tokens >= num_seqs:
        num_tokens = max(num_tokens // 2, budget.min_tokens)
        return limits, min(budget.max_tokens, num_tokens)
    num_seqs = min(limits.max_num_seqs, max(num_seqs // 2, MIN_ROWS))
    return replace(limits, max_num_seqs=num_seqs), budget.max_tokens


def _chunk_halves(plan: StepPlan, num_rows: int) -> list[StepPlan]:
    """Return two steps, the first with `num_rows` rows; those that decode come first."""
    num_decoding = min(plan.num_decoding, num_rows)
    first, rest = list(_rows(plan.chunks, 0, num_rows)), list(_rows(plan.chunks, num_rows, None))
    return [
        StepPlan(chunks=first, num_decoding=num_decoding),
        StepPlan(chunks=rest, num_decoding=plan.num_decoding - num_decoding),
    ]


def _rows(chunks: Sequence[Chunk], start: int, stop: int | None) -> Iterator[Chunk]:
    """Yield the chunks, or their parts, that are rows `[start, stop)` of the batch."""
    at = 0
    for chunk in chunks:
        first = chunk.start + max(0, start - at)
        last = chunk.stop if stop is None else min(chunk.stop, chunk.start + stop - at)
        if first < last:
            yield Chunk(chunk.sequence, first, last)
        at += chunk.num_tokens
