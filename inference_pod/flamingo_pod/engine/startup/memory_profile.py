"""Size the KV pool by measuring: what a model holds, and the peak of the largest step.

How it works: a core with a pool just large enough runs as many windows as a step encodes, a chunk
of prefill of the whole token budget, and a batch of `max_num_seqs` sequences, sampled in
every way. What the device holds before is weights, fused weights and CUDA graphs; how much more is
allocated at once is the peak. nano-vllm and vLLM measure alike, with one prefill.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from flamingo_common.audio import windows
from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.device.device_memory import DeviceMemory
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.engine.scheduling.sequence import SamplingParams, TokenOutput
from flamingo_pod.engine.startup import sizing
from flamingo_pod.engine.startup.sizing import InsufficientMemory, MemoryNeeds, StepSizes
from flamingo_pod.engine.startup.trial_prompts import (
    SAMPLED_TOKENS,
    SHORT_TEXT_TOKENS,
    TrialPrompts,
)
from flamingo_pod.model.checkpoint import Checkpoint
from flamingo_pod.model.dimensions import ModelDimensions, dimensions_of


@dataclass(frozen=True, slots=True)
class SizedMemory:
    """The options with all sizes, and on a GPU what was measured."""

    options: EngineOptions
    needs: MemoryNeeds | None = None

    @property
    def planned_bytes(self) -> int:
        """What is to be allocated on the device at most, without the reserve; 0 on a CPU."""
        needs, options = self.needs, self.options
        if needs is None:
            return 0
        caches = 0 if options.are_caches_on_host else needs.encoder_cache_bytes
        pool = options.kv_cache_tokens * needs.kv_token_bytes
        return needs.weight_bytes + needs.peak_bytes + needs.in_flight_bytes + caches + pool


def size_memory(
    checkpoint: Checkpoint, options: EngineOptions, memory: DeviceMemory | None
) -> SizedMemory:
    """Return `options` with the size of the KV pool and the place of the encoder caches.

    A size that is given in `options` is kept. Without `memory`, on a CPU, nothing is measured.

    Raises:
        InsufficientMemory: the model does not fit on the device.
        OutOfMemoryError: torch's; not even the largest step fits.
    """
    dimensions = dimensions_of(checkpoint.model.config.to_dict())
    element_bytes = checkpoint.model.lm_head.weight.element_size()
    if memory is None:
        tokens = sizing.cpu_pool_tokens(dimensions.kv_token_bytes(element_bytes))
        return SizedMemory(replace(options, kv_cache_tokens=options.kv_cache_tokens or tokens))
    needs = _measure(checkpoint, options, memory, dimensions)
    plan = sizing.plan_memory(memory.usable_bytes(), needs, kv_cache_tokens=options.kv_cache_tokens)
    if not options.kv_cache_tokens and plan.kv_cache_tokens < sizing.MIN_POOL_TOKENS:
        raise InsufficientMemory(sizing.shortage(memory.usable_bytes(), needs))
    sized = replace(
        options,
        kv_cache_tokens=plan.kv_cache_tokens,
        are_caches_on_host=plan.are_caches_on_host,
    )
    return SizedMemory(sized, needs)


def _measure(
    checkpoint: Checkpoint,
    options: EngineOptions,
    memory: DeviceMemory,
    dimensions: ModelDimensions,
) -> MemoryNeeds:
    element_bytes = checkpoint.model.lm_head.weight.element_size()
    token_bytes = dimensions.kv_token_bytes(element_bytes)
    step = step_sizes(options)
    pool_tokens = _pool_tokens(step)
    core = EngineCore(
        checkpoint, replace(options, kv_cache_tokens=pool_tokens, encoder_cache_bytes=0)
    )
    weight_bytes = memory.held_bytes() - pool_tokens * token_bytes
    memory.start_peak()
    run_largest_steps(core, checkpoint, step)
    peak_bytes = memory.peak_bytes()
    del core
    memory.held_bytes()  # frees the pool, before the real one is allocated
    return MemoryNeeds(
        weight_bytes=weight_bytes,
        peak_bytes=peak_bytes,
        in_flight_bytes=sizing.in_flight_bytes(dimensions, element_bytes),
        encoder_cache_bytes=options.encoder_cache_bytes,
        kv_token_bytes=token_bytes,
        context_tokens=dimensions.context_tokens,
    )


def step_sizes(options: EngineOptions) -> StepSizes:
    """Return the largest step that a core with these options plans."""
    return StepSizes(
        prefill_tokens=sizing.MAX_PREFILL_TOKENS,
        num_rows=options.max_num_seqs,
        num_windows=sizing.MAX_WINDOWS,
    )


def _pool_tokens(step: StepSizes) -> int:
    """Return the tokens of the longest of the trial prompts, or of all short ones together."""
    audio = step.num_windows * windows.TOKENS_PER_WINDOW + 1
    rows = step.num_rows * (SHORT_TEXT_TOKENS + SAMPLED_TOKENS)
    return max(audio + SAMPLED_TOKENS, step.prefill_tokens + SAMPLED_TOKENS, rows)


def run_largest_steps(core: EngineCore, checkpoint: Checkpoint, step: StepSizes) -> None:
    """Run the steps that allocate most: of encoding, of prefill, and of sampling.

    Raises:
        Exception: the one that a sequence failed with.
    """
    prompts = TrialPrompts(checkpoint, b"profile")
    _run(core, [prompts.clip(step.num_windows * windows.WINDOW_S)])
    _run(core, [prompts.text(step.prefill_tokens)])
    _run(core, prompts.rows(step.num_rows))


def _run(core: EngineCore, requests: Iterable[tuple[Prompt, SamplingParams]]) -> None:
    outputs: list[TokenOutput | Exception] = []
    for prompt, params in requests:
        core.submit(prompt, params, 0, outputs.append)
    while core.has_work():
        core.step()
    for each in outputs:
        if isinstance(each, Exception):
            raise each
