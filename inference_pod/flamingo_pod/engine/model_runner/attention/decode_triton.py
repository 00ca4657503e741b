"""Attention of decode rows by Triton kernels; chunks of prompts by another implementation.

It can only be imported where Triton can, see `kernels/availability.py`.
"""

from typing import Protocol

import torch

from flamingo_pod.engine.kernels.decode_attention import decode_attention, decode_attention_fp8
from flamingo_pod.engine.kernels.rotary import rotate_and_write
from flamingo_pod.engine.model_runner.attention.interface import Rotation
from flamingo_pod.engine.model_runner.device_batch import DeviceBatch, chunks_from
from flamingo_pod.engine.model_runner.kv import KvPool
from flamingo_pod.model.linear import Activations


class ChunkAttention(Protocol):
    """Attention of chunks whose KV is already in the pool, such as `AttentionByRuns`."""

    def plan(self, batch: DeviceBatch) -> None:
        """Prepare what all layers of the next step share."""
        ...

    def attend(self, layer: int, queries: torch.Tensor) -> torch.Tensor:
        """Return attention for rotated `queries`, both `(rows, heads, head width)`."""
        ...


class DecodeTritonAttention:
    """`Attention`: one launch rotates and writes all rows, and two attend for all decode rows."""

    def __init__(self, pool: KvPool, chunk_attention: ChunkAttention) -> None:
        self._pool = pool
        self._chunk_attention = chunk_attention
        self._num_single = 0
        self._slots = torch.empty(0, dtype=torch.int32)
        self._runs = torch.empty(0, 4, dtype=torch.int32)

    def plan(self, batch: DeviceBatch) -> None:
        """Prepare what all layers of the next step share."""
        self._num_single = batch.host.num_single
        self._slots = batch.slots
        self._runs = batch.runs[: self._num_single]
        if self._num_single < batch.host.num_rows:
            self._chunk_attention.plan(chunks_from(batch, self._num_single))

    def write_and_attend(
        self, layer: int, qkv: torch.Tensor, rotation: Rotation, *, is_fp8: bool = False
    ) -> Activations:
        """Return attention `(rows, heads * head width)`; in FP8 if asked, without chunks."""
        kv = self._pool.keys[layer], self._pool.values[layer]
        # The bias is already in the product: cuBLAS adds it without a launch of its own.
        queries = rotate_and_write(qkv, None, rotation, self._slots, kv)
        single, others = queries[: self._num_single], queries[self._num_single :]
        if is_fp8 and not len(others):
            return decode_attention_fp8(single, kv, self._runs, self._pool.scale)
        parts = []
        if len(single):
            parts.append(decode_attention(single, kv, self._runs, self._pool.scale))
        if len(others):
            parts.append(self._chunk_attention.attend(layer, others))
        return (parts[0] if len(parts) == 1 else torch.cat(parts)).flatten(1)
