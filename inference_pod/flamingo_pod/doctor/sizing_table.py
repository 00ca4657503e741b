"""What fits on a GPU, in words and as the table of `docs/gpu.md`.

Pure.
"""

from collections.abc import Iterator
from dataclasses import replace

from flamingo_pod.engine.startup import sizing
from flamingo_pod.engine.startup.batch_size import default_max_num_seqs
from flamingo_pod.engine.startup.sizing import MemoryNeeds, MemoryPlan, StepSizes
from flamingo_pod.model.dimensions import PUBLISHED, ModelDimensions

GIB = 2**30
CARDS_GB = (12, 16, 24, 40, 48, 80, 141)
LENGTHS_S = {"10 s": 10, "30 s": 30, "3 min": 180, "10 min": 600, "20 min": 1200}
ENCODER_CACHE_BYTES = GIB
"""The default of --encoder-cache-gib."""
ELEMENT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
HEAD = (
    "| GPU memory | weights | weights, GiB | KV cache, tokens | encoder cache |"
    + "".join(f" {name} |" for name in LENGTHS_S)
    + "\n| ---: | --- | ---: | ---: | --- |"
    + " ---: |" * len(LENGTHS_S)
    + "\n"
)


def needs_of(dimensions: ModelDimensions, dtype: str, gpu_bytes: int | None) -> MemoryNeeds:
    """Return what a model needs with the default settings.

    `gpu_bytes` is what a process can use of the memory of a GPU; None is a CPU.
    """
    num_rows = default_max_num_seqs(gpu_bytes)
    step = StepSizes(sizing.MAX_PREFILL_TOKENS, num_rows, sizing.MAX_WINDOWS)
    return sizing.estimate_needs(
        dimensions, ELEMENT_BYTES[dtype], step, encoder_cache_bytes=ENCODER_CACHE_BYTES
    )


def describe(plan: MemoryPlan) -> str:
    """Return how large the pool is, and how many clips of each length fit into it."""
    counts = [f"{plan.num_clips(seconds):,} of {name}" for name, seconds in LENGTHS_S.items()]
    place = "host memory" if plan.are_caches_on_host else "GPU memory"
    return (
        f"KV cache of {plan.kv_cache_tokens:,} tokens; clips at once: {', or '.join(counts)};"
        f" encoder cache in {place}"
    )


def table() -> str:
    """Return the table for the published model in Markdown."""
    return HEAD + "".join(line for card_gb in CARDS_GB for line in _lines(card_gb))


def _lines(card_gb: int) -> Iterator[str]:
    usable_bytes = card_gb * 10**9 - sizing.GPU_CONTEXT_BYTES
    bfloat16 = needs_of(PUBLISHED, "bfloat16", usable_bytes)
    fp8_bytes = PUBLISHED.weight_bytes(2, layer_element_bytes=1)
    for weights, num_bytes in (("bfloat16", bfloat16.weight_bytes), ("FP8", fp8_bytes)):
        plan = sizing.plan_memory(usable_bytes, replace(bfloat16, weight_bytes=num_bytes))
        cells = [f"{card_gb} GB", weights, f"{num_bytes / GIB:.1f}", *_plan_cells(plan)]
        yield f"| {' | '.join(cells)} |\n"


def _plan_cells(plan: MemoryPlan) -> list[str]:
    if plan.kv_cache_tokens < sizing.MIN_POOL_TOKENS:
        return ["does not fit", "", *("" for _ in LENGTHS_S)]
    place = "host" if plan.are_caches_on_host else "GPU"
    clips = [f"{plan.num_clips(seconds):,}" for seconds in LENGTHS_S.values()]
    return [f"{plan.kv_cache_tokens:,}", place, *clips]
