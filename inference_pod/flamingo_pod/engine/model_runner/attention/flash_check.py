"""Compare FlashAttention's kernel with the reference, on the device where it would be used."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from flamingo_pod.engine.model_runner.attention.by_runs import AttentionByRuns
from flamingo_pod.engine.model_runner.attention.flash import (
    FlashAttention,
    VarlenKernel,
    flash_attention,
)
from flamingo_pod.engine.model_runner.batch import Batch, starts_of
from flamingo_pod.engine.model_runner.device_batch import to_device
from flamingo_pod.engine.model_runner.kv import KvPool

NUM_SLOTS = 2048
Chunks = Sequence[tuple[int, tuple[int, int, int, int]]]
"""Rows and runs of each."""
BATCHES: Sequence[Chunks] = (
    (
        (300, (100, 300, 0, 0)),
        (1, (700, 9, 0, 0)),
        (77, (400, 250, 900, 130)),
        (5, (64, 5, 0, 0)),
    ),
    ((20, (100, 300, 0, 0)), (1, (400, 250, 900, 130)), (1, (64, 40, 1500, 1))),
)
"""A whole prompt, one row, a chunk behind a shared prefix, and a first chunk; and a call in which
all sequences have one row, for which the kernel swaps rows and heads."""
LIMIT = 0.02
"""Of the largest difference relative to the largest value: bfloat16 has 8 bits."""


def disagreement(
    pool: KvPool, num_heads: int, kernel: VarlenKernel = flash_attention
) -> str | None:
    """Return how the kernel differs from the reference in an empty pool; None if it agrees.

    The pool's first slots are overwritten; raises nothing.
    """
    if len(pool.keys[0]) < NUM_SLOTS:
        return f"FlashAttention is not compared in a KV cache of fewer than {NUM_SLOTS} tokens"
    try:
        error = _relative_error(pool, num_heads, kernel)
    except Exception as failure:  # noqa: BLE001 - whatever it is, the kernel is not used
        return f"FlashAttention failed: {failure}"
    if error <= LIMIT:
        return None
    return f"FlashAttention differs from the reference by {error:.1e}, and {LIMIT:.1e} is allowed"


@torch.inference_mode()
def _relative_error(pool: KvPool, num_heads: int, kernel: VarlenKernel) -> float:
    keys, values = pool.keys[0], pool.values[0]
    for tensor in (keys[:NUM_SLOTS], values[:NUM_SLOTS]):
        tensor.normal_()
    return max(_batch_error(pool, num_heads, kernel, chunks) for chunks in BATCHES)


def _batch_error(pool: KvPool, num_heads: int, kernel: VarlenKernel, chunks: Chunks) -> float:
    keys = pool.keys[0]
    batch = to_device(_batch(chunks), keys.device)
    queries = torch.randn(
        (batch.host.num_rows, num_heads, keys.shape[2]), device=keys.device, dtype=keys.dtype
    )
    reference, flash = AttentionByRuns(pool, num_heads), FlashAttention(pool, kernel)
    results = []
    for attention in (reference, flash):
        attention.plan(batch)
        results.append(attention.attend(0, queries).float())
    expected, found = results
    error = float((found - expected).abs().max() / expected.abs().max())
    return math.inf if math.isnan(error) else error  # of NaN, the largest would not be known


def _batch(chunks: Chunks) -> Batch:
    runs = np.array([runs for _, runs in chunks], dtype=np.int32)
    row_starts = starts_of(np.array([rows for rows, _ in chunks], dtype=np.int32))
    rows = np.zeros(row_starts[-1], dtype=np.int32)
    return Batch(rows, rows, rows, row_starts, runs, row_starts[1:] - 1)
