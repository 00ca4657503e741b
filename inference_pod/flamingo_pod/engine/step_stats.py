"""What a computed step adds to the stats of its requests, and to the measured costs of the load.

Pure: the caller measures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flamingo_common.audio.windows import TOKENS_PER_WINDOW
from flamingo_pod.engine.load import EngineLoad
from flamingo_pod.engine.profile import EngineProfile
from flamingo_pod.engine.scheduler import StepPlan, WindowJob
from flamingo_pod.engine.shares import split_step_time


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
        stats.num_prompt_tokens_left = max(0, len(chunk.sequence.prompt_ids) - chunk.stop)
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


def update_costs(load: EngineLoad, profile: EngineProfile) -> None:
    """Set the costs of a window and a token to their averages since the start."""
    if profile.num_windows:
        load.encode_s = (profile.mel_s + profile.encode_s) / profile.num_windows
    if profile.num_prefilled:
        load.prefill_s = profile.prefill_s / profile.num_prefilled * TOKENS_PER_WINDOW
    if profile.num_decoded:
        load.token_s = profile.decode_s / profile.num_decoded
