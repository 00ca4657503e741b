"""Attention as one product for each run of slots: on a CPU, and the reference for all others.

How it works: all rows of a chunk see the slots before it completely, so no mask is ever built; only
attention within the chunk is causal. Attention to each run returns its output and log-sum-exp, and
the outputs are merged with these as weights, which is exact (Dao et al., FlashAttention, 2022,
§3.1; vLLM's `merge_attn_states`). Rows of the query heads that share one KV head (GQA) are computed
as more rows of one head, so keys and values are not expanded, except in the causal part.
"""

from collections import abc
from dataclasses import dataclass

import torch

from flamingo_pod.engine.model_runner.attention.interface import Rotation
from flamingo_pod.engine.model_runner.batch import Batch
from flamingo_pod.engine.model_runner.device_batch import DeviceBatch
from flamingo_pod.engine.model_runner.kv import KvPool

Run = tuple[int, int]
"""The token slots `[start, stop)` of the pool."""


@dataclass(frozen=True, slots=True)
class ChunkRuns:
    """A chunk's rows in the batch, and the runs of the pool that they attend to."""

    start: int
    stop: int
    """Rows `[start, stop)` of the batch."""
    full_runs: abc.Sequence[Run]
    """Runs that every row attends to completely; a single row's own slot is part of them."""
    causal_run: Run | None
    """The slots of several rows, of which each attends to those up to its own."""


class AttentionByRuns:
    """`Attention`, and the two parts of it that the transformers library's modules call."""

    def __init__(self, pool: KvPool, num_heads: int) -> None:
        self._pool = pool
        self.num_heads = num_heads
        self._num_kv = pool.keys[0].shape[1]
        self._chunks: abc.Sequence[ChunkRuns] = ()
        self._slots = torch.empty(0, dtype=torch.long)

    def plan(self, batch: DeviceBatch) -> None:
        """Prepare what all layers of the next step share."""
        self._chunks = chunk_runs(batch.host)
        self._slots = batch.slots.long()

    def write_and_attend(
        self,
        layer: int,
        qkv: torch.Tensor,
        rotation: Rotation,
        *,
        is_fp8: bool = False,  # noqa: ARG002 - the product quantizes
    ) -> torch.Tensor:
        """Return attention `(rows, heads * head width)`, as `Attention` describes."""
        heads = qkv.view(len(qkv), self.num_heads + 2 * self._num_kv, -1)
        num_rotated = self.num_heads + self._num_kv
        rotated = _rotate(heads[:, :num_rotated], rotation)
        self.write(layer, rotated[:, self.num_heads :], heads[:, num_rotated:])
        return self.attend(layer, rotated[:, : self.num_heads]).flatten(1)

    def write(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Store the rows' rotated keys and values, `(rows, kv heads, head width)`."""
        self._pool.keys[layer].index_copy_(0, self._slots, keys)
        self._pool.values[layer].index_copy_(0, self._slots, values)

    def attend(self, layer: int, queries: torch.Tensor) -> torch.Tensor:
        """Return attention for rotated `queries`, both `(rows, heads, head width)`."""
        out = torch.empty_like(queries)
        for chunk in self._chunks:
            rows = slice(chunk.start, chunk.stop)
            out[rows] = self._attend_chunk(layer, queries[rows], chunk)
        return out

    def _attend_chunk(self, layer: int, queries: torch.Tensor, chunk: ChunkRuns) -> torch.Tensor:
        # (kv heads, group, rows, width): the heads that share keys and values.
        num_rows, num_heads, width = queries.shape
        group = num_heads // self._num_kv
        grouped = queries.transpose(0, 1).reshape(self._num_kv, group, num_rows, width)
        parts = [self._attend_run(layer, grouped, run, is_causal=False) for run in chunk.full_runs]
        if chunk.causal_run is not None:
            parts.append(self._attend_run(layer, grouped, chunk.causal_run, is_causal=True))
        return _merge(parts).flatten(0, 1).transpose(0, 1)

    def _attend_run(
        self, layer: int, grouped: torch.Tensor, run: Run, *, is_causal: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return attention to one run, `(kv heads, group, rows, width)`, and its log-sum-exp."""
        num_kv, group, num_rows, width = grouped.shape
        slots = slice(*run)
        keys = self._pool.keys[layer][slots].transpose(0, 1)[None]
        values = self._pool.values[layer][slots].transpose(0, 1)[None]
        if is_causal:
            queries = grouped.reshape(1, num_kv * group, num_rows, width)
            keys, values = (each.repeat_interleave(group, dim=1) for each in (keys, values))
        else:  # a group's rows attend to the same: they are just more rows of one head
            queries = grouped.reshape(1, num_kv, group * num_rows, width)
        out, lse = _attention(queries, keys, values, is_causal=is_causal, scale=self._pool.scale)
        return out.reshape(grouped.shape), lse.reshape(grouped.shape[:3])


def chunk_runs(batch: Batch) -> list[ChunkRuns]:
    """Return each chunk's rows, and what they attend to."""
    bounds = batch.row_starts.tolist()
    return [
        _chunk_runs(start, stop, runs)
        for start, stop, runs in zip(bounds, bounds[1:], batch.runs.tolist(), strict=False)
    ]


def _chunk_runs(start: int, stop: int, runs: abc.Sequence[int]) -> ChunkRuns:
    first, num_first, second, num_second = runs
    found = [(at, at + num) for at, num in ((first, num_first), (second, num_second)) if num]
    num_rows = stop - start
    if num_rows == 1:
        return ChunkRuns(start, stop, found, None)
    at, end = found.pop()
    own = end - num_rows
    return ChunkRuns(start, stop, [*found, (at, own)] if own > at else found, (own, end))


def _rotate(heads: torch.Tensor, rotation: Rotation) -> torch.Tensor:
    """Apply rotary positions over half-split pairs to `(rows, heads, width)`."""
    cos, sin = (each.unsqueeze(1) for each in rotation)
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-second, first), dim=-1) * sin


def _attention(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    *,
    is_causal: bool,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return attention and its log-sum-exp, `(1, heads, rows, width)` and `(1, heads, rows)`."""
    if queries.is_cuda:
        kernel = torch.ops.aten._scaled_dot_product_flash_attention  # noqa: SLF001
    else:
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001
    out, lse, *_ = kernel(queries, keys, values, 0.0, is_causal, scale=scale)
    return out, lse


def _merge(parts: abc.Sequence[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Return attention over the keys of all parts, from their outputs and log-sum-exps."""
    if len(parts) == 1:
        return parts[0][0]
    total = torch.stack([lse for _, lse in parts]).logsumexp(dim=0)
    weighted = [out * (lse - total).exp().unsqueeze(-1).to(out.dtype) for out, lse in parts]
    return torch.stack(weighted).sum(dim=0)
