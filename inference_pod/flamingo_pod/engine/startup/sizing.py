"""How a device's memory is divided: weights, the largest step, encoder caches, and the KV pool.

    pool = usable - weights - peak of the largest step - in flight - caches - reserve

A pod on a GPU measures its weights and the peak of the largest step before it allocates the pool;
`flamingo doctor` and the table in `docs/gpu.md` estimate both from the model's dimensions. The
encoder caches move to the host where the pool would otherwise be small.

Pure.
"""

from dataclasses import dataclass

from flamingo_common.audio import windows
from flamingo_pod.model.dimensions import ENCODER_POSITIONS, ModelDimensions

GPU_CONTEXT_BYTES = 512 * 2**20
"""The CUDA context with its loaded kernels, which torch's allocator does not see."""
MIN_RESERVE_BYTES = 512 * 2**20
RESERVE_SHARE = 0.02
"""Of the usable memory: the allocator's fragmentation, and the workspaces of shapes that were not
measured."""
MIN_CONTEXTS_BESIDE_CACHES = 4
"""The encoder caches stay on the device if the pool beside them holds as many longest prompts."""
MAX_PREFILL_TOKENS, MAX_WINDOWS = 2048, 8
"""Of one step: the default limits of the token budget and of the scheduler."""
MIN_POOL_TOKENS = 1024
"""A pool of fewer tokens could answer about a clip of half a minute and nothing else."""
CPU_POOL_BYTES = 2 * 2**30
CPU_POOL_TOKENS = 2**18
"""Eight times the longest context: enough for a laptop, whose memory other programs need, too."""
PROMPT_TEXT_TOKENS, OUTPUT_TOKENS = 60, 300
"""Of a question about a clip and its answer."""
SAMPLING_COPIES = 10
"""Tensors of rows by vocabulary in float32 that filtered sampling holds at once."""
PEAK_MARGIN = 1.15
"""What is estimated is the largest tensors. Measured with torch's profiler on a CPU, the peaks of
flamingo-tiny-27m are larger by 13 % (prefill of 2,048 tokens) and 9 % (eight windows)."""


class InsufficientMemory(Exception):
    """The model does not fit on the device; the message says what it needs."""


@dataclass(frozen=True, slots=True)
class StepSizes:
    """The largest step that the scheduler plans."""

    prefill_tokens: int
    num_rows: int
    """Sequences that decode and are sampled beside the prefill."""
    num_windows: int


@dataclass(frozen=True, slots=True)
class MemoryNeeds:
    """What must fit beside the KV pool, in bytes, and what a token of the pool takes."""

    weight_bytes: int
    peak_bytes: int
    """Of the largest step, beyond the weights."""
    in_flight_bytes: int
    """Embeddings of clips whose prefill has not ended."""
    encoder_cache_bytes: int
    kv_token_bytes: int
    context_tokens: int
    """The longest prompt with its output."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How large the KV pool is, and where the encoder caches are."""

    kv_cache_tokens: int
    """0: not even the weights and one step fit."""
    are_caches_on_host: bool
    reserve_bytes: int

    def num_clips(self, seconds: float) -> int:
        """Return how many clips of a length fit into the pool at once, each with its answer."""
        return self.kv_cache_tokens // clip_tokens(seconds)


def plan_memory(usable_bytes: int, needs: MemoryNeeds, *, kv_cache_tokens: int = 0) -> MemoryPlan:
    """Divide the memory that a process can use on a device, without its CUDA context.

    With `kv_cache_tokens` the pool has that size, and only the place of the caches is decided.
    """
    reserve_bytes = _reserve_bytes(usable_bytes)
    left_bytes = max(usable_bytes - _fixed_bytes(needs) - reserve_bytes, 0)
    beside_caches = max(left_bytes - needs.encoder_cache_bytes, 0) // needs.kv_token_bytes
    enough_tokens = kv_cache_tokens or MIN_CONTEXTS_BESIDE_CACHES * needs.context_tokens
    is_enough = beside_caches >= enough_tokens
    tokens = beside_caches if is_enough else left_bytes // needs.kv_token_bytes
    return MemoryPlan(kv_cache_tokens or tokens, not is_enough, reserve_bytes)


def shortage(usable_bytes: int, needs: MemoryNeeds) -> str:
    """Return in a sentence what a model needs that does not fit, and what to do."""
    least = _fixed_bytes(needs) + _reserve_bytes(usable_bytes)
    least += MIN_POOL_TOKENS * needs.kv_token_bytes
    return (
        f"the model needs at least {_gib(least)} of GPU memory: {_gib(needs.weight_bytes)} of"
        f" weights, {_gib(needs.peak_bytes)} for the largest step, and the KV cache;"
        f" {_gib(usable_bytes)} can be used; use a larger GPU, or --quantization fp8 if it is not"
        " used yet"
    )


def cpu_pool_tokens(kv_token_bytes: int) -> int:
    """Return the size of the pool on a CPU, where nothing is measured."""
    return min(CPU_POOL_BYTES // kv_token_bytes, CPU_POOL_TOKENS)


def _fixed_bytes(needs: MemoryNeeds) -> int:
    return needs.weight_bytes + needs.peak_bytes + needs.in_flight_bytes


def _reserve_bytes(usable_bytes: int) -> int:
    return max(MIN_RESERVE_BYTES, int(usable_bytes * RESERVE_SHARE))


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"


def clip_tokens(seconds: float) -> int:
    """Return the KV tokens of a clip with a question and an answer of usual lengths."""
    audio_tokens = windows.num_tokens(int(seconds * windows.SAMPLE_RATE_HZ))
    return audio_tokens + PROMPT_TEXT_TOKENS + OUTPUT_TOKENS


def estimate_needs(
    of: ModelDimensions, element_bytes: int, step: StepSizes, *, encoder_cache_bytes: int
) -> MemoryNeeds:
    """Return what a model needs by its dimensions, where nothing can be measured."""
    return MemoryNeeds(
        weight_bytes=of.weight_bytes(element_bytes),
        peak_bytes=estimate_peak_bytes(of, element_bytes, step),
        in_flight_bytes=in_flight_bytes(of, element_bytes),
        encoder_cache_bytes=encoder_cache_bytes,
        kv_token_bytes=of.kv_token_bytes(element_bytes),
        context_tokens=of.context_tokens,
    )


def in_flight_bytes(of: ModelDimensions, element_bytes: int) -> int:
    """Return the bytes of two longest clips' embeddings, which a prefill keeps until its end."""
    return 2 * of.context_tokens * of.hidden * element_bytes


def estimate_peak_bytes(of: ModelDimensions, element_bytes: int, step: StepSizes) -> int:
    """Return about what the largest step allocates beyond the weights.

    Its parts run one after the other: encoding, the forward pass, and sampling.
    """
    forward = (step.prefill_tokens + step.num_rows) * _forward_row_bytes(of, element_bytes)
    sampling = SAMPLING_COPIES * step.num_rows * of.vocabulary * 4
    encoding = step.num_windows * _window_bytes(of, element_bytes)
    return int(PEAK_MARGIN * max(encoding, forward, sampling))


def _forward_row_bytes(of: ModelDimensions, element_bytes: int) -> int:
    """Return the bytes of a row in a layer's feed-forward part: gate, up, and their product."""
    norms_in_float32 = 2 * of.hidden * 4
    return (4 * of.intermediate + 4 * of.hidden) * element_bytes + norms_in_float32


def _window_bytes(of: ModelDimensions, element_bytes: int) -> int:
    """Return the bytes of a full window in the encoder: in a layer, or in the first convolution."""
    layer = ENCODER_POSITIONS * (2 * of.encoder_intermediate + 3 * of.encoder_hidden)
    convolution = 2 * ENCODER_POSITIONS * 2 * of.encoder_hidden
    return max(layer, convolution) * element_bytes
