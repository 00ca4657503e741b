"""Run what users' requests will run, before the first of them arrives.

Kernels are loaded, compiled or chosen when they are first used: on a GPU by shape, so there the
warm-up has a full window and a full chunk of prefill. On a CPU, where these would take minutes with
the published model, it has a second of audio.
"""

from dataclasses import dataclass

from flamingo_common.audio import windows
from flamingo_pod.engine.core import Prompt
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.engine.startup.trial_prompts import SAMPLED_TOKENS, WAYS_OF_SAMPLING, TrialPrompts
from flamingo_pod.model.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class WarmUpSizes:
    """How much a warm-up runs."""

    audio_s: float
    text_tokens: int
    num_rows: int


GPU = WarmUpSizes(audio_s=windows.WINDOW_S, text_tokens=2048, num_rows=64)
CPU = WarmUpSizes(audio_s=1.0, text_tokens=32, num_rows=len(WAYS_OF_SAMPLING))


async def warm_up(engine: Engine, checkpoint: Checkpoint) -> None:
    """Answer a clip, a long text and short prompts; then forget how long that took.

    On a GPU the pass is repeated, for costs without compilation, which the load report starts with.

    Raises:
        InternalError: the engine fails.
    """
    if checkpoint.model.device.type == "cpu":
        await _run(engine, TrialPrompts(checkpoint, b"warm-up"), CPU)
        return
    await _run(engine, TrialPrompts(checkpoint, b"warm-up"), GPU)
    await engine.reset_measurements()
    await _run(engine, TrialPrompts(checkpoint, b"warm-up again"), GPU)


async def _run(engine: Engine, prompts: TrialPrompts, sizes: WarmUpSizes) -> None:
    # A pool may be smaller than the sizes.
    max_tokens = (engine.load.num_kv_tokens or 0) - SAMPLED_TOKENS
    audio_s = min(sizes.audio_s, (max_tokens - 1) * windows.FRAME_S)
    await _answer(engine, [prompts.clip(audio_s)])
    await _answer(engine, [prompts.text(min(sizes.text_tokens, max_tokens))])
    await _answer(engine, list(prompts.rows(sizes.num_rows)))


async def _answer(engine: Engine, requests: list[tuple[Prompt, SamplingParams]]) -> None:
    with engine.generate_many(requests) as outputs:
        async for _ in outputs:
            pass
