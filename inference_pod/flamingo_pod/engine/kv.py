"""The KV pool, and attention over it.

How it works: keys and values of each layer are one tensor, `(kv heads, token slots, head width)`;
a sequence reads and writes slices of it, its extents. A row of the batch attends to at most three
runs of slots: the shared prefix, its own tail before this chunk, and the chunk itself. All rows of
a chunk see the first two completely, so no mask is ever built; only attention within the chunk is
causal. Runs that are adjacent in the pool are merged first.

Attention to each run returns its output and log-sum-exp, and the outputs are merged with these
as weights, which is exact (Dao et al., FlashAttention, 2022, §3.1; vLLM's `merge_attn_states`).
Rows of the query heads that share one KV head (GQA) are computed as more rows of one head, so keys
and values are not expanded, except in the causal part.
"""

from collections import abc
from dataclasses import dataclass
from typing import Any

import torch

from flamingo_pod.engine.memory import KvCopy
from flamingo_pod.engine.scheduler import Chunk

Run = tuple[int, int]
"""The token slots `[start, stop)` of the pool."""


@dataclass(frozen=True, slots=True)
class ChunkAttention:
    """A chunk's rows in the batch, and the runs of the pool that they attend to."""

    start: int
    stop: int
    """Rows `[start, stop)` of the batch."""
    own_run: Run
    """The rows' own slots, where their KV is written."""
    full_runs: abc.Sequence[Run]
    """Runs that every row attends to completely; a single row's own slot is part of them."""

    @property
    def is_causal(self) -> bool:
        """Whether the rows also attend to their own run, each up to itself."""
        return self.stop - self.start > 1


CPU_POOL_BYTES = 2 * 2**30
CPU_POOL_TOKENS = 2**18
"""Eight times the longest context: enough for a laptop, whose memory other programs need, too."""
GPU_SHARE = 0.85
"""Of the memory that is free after loading the weights; the rest is for activations."""


def default_capacity_tokens(model: Any) -> int:
    """Return the KV pool's default capacity on this machine beside `model`, in tokens."""
    config, weight = model.config.text_config, model.lm_head.weight
    bytes_per_layer = 2 * config.num_key_value_heads * _head_width(config) * weight.element_size()
    bytes_per_token = int(bytes_per_layer * config.num_hidden_layers)
    if weight.is_cuda:
        free_bytes, _ = torch.cuda.mem_get_info(weight.device)
        return int(free_bytes * GPU_SHARE) // bytes_per_token
    return min(CPU_POOL_BYTES // bytes_per_token, CPU_POOL_TOKENS)


def _head_width(config: Any) -> int:
    """Return the width of one head."""
    head_dim = getattr(config, "head_dim", None)
    return int(head_dim or config.hidden_size // config.num_attention_heads)


class KvPool:
    """Keys and values of all layers: `(kv heads, token slots, head width)` each.

    Slots that were never written are never read, and on a CPU take no memory. A run is
    contiguous per head, which is what attention on a CPU reads fastest.
    """

    def __init__(self, config: Any, num_tokens: int, like: torch.Tensor) -> None:
        width = _head_width(config)
        shape = (config.num_key_value_heads, num_tokens, width)
        self.keys = [like.new_empty(shape) for _ in range(config.num_hidden_layers)]
        self.values = [like.new_empty(shape) for _ in range(config.num_hidden_layers)]
        self.scale = width**-0.5

    def copy(self, copies: abc.Iterable[KvCopy]) -> None:
        """Copy KV within the pool, in order."""
        for each in copies:
            source = slice(each.source, each.source + each.num_tokens)
            target = slice(each.target, each.target + each.num_tokens)
            for tensor in (*self.keys, *self.values):
                tensor[:, target] = tensor[:, source].clone()

    def write(
        self,
        layer: int,
        keys: torch.Tensor,
        values: torch.Tensor,
        chunks: abc.Iterable[ChunkAttention],
    ) -> None:
        """Store new keys and values, `(rows, kv heads, head width)`, in their rows' slots."""
        pool_keys, pool_values = self.keys[layer], self.values[layer]
        for chunk in chunks:
            slots = slice(*chunk.own_run)
            pool_keys[:, slots] = keys[chunk.start : chunk.stop].transpose(0, 1)
            pool_values[:, slots] = values[chunk.start : chunk.stop].transpose(0, 1)

    def attend(
        self, layer: int, queries: torch.Tensor, chunks: abc.Iterable[ChunkAttention]
    ) -> torch.Tensor:
        """Return attention for `queries`, both `(rows, heads, head width)`, over written KV."""
        out = torch.empty_like(queries)
        for chunk in chunks:
            out[chunk.start : chunk.stop] = self._attend_chunk(
                layer, queries[chunk.start : chunk.stop], chunk
            )
        return out

    def _attend_chunk(
        self, layer: int, queries: torch.Tensor, chunk: ChunkAttention
    ) -> torch.Tensor:
        num_heads, num_kv = queries.shape[1], self.keys[layer].shape[0]
        # (kv heads, group, rows, width): the heads that share keys and values.
        num_rows, _, width = queries.shape
        grouped = queries.transpose(0, 1).reshape(num_kv, num_heads // num_kv, num_rows, width)
        parts = [self._attend_run(layer, grouped, run, is_causal=False) for run in chunk.full_runs]
        if chunk.is_causal:
            parts.append(self._attend_run(layer, grouped, chunk.own_run, is_causal=True))
        return _merge(parts).flatten(0, 1).transpose(0, 1)

    def _attend_run(
        self, layer: int, grouped: torch.Tensor, run: Run, *, is_causal: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return attention to one run, `(kv heads, group, rows, width)`, and its log-sum-exp."""
        num_kv, group, num_rows, width = grouped.shape
        slots = slice(*run)
        keys, values = self.keys[layer][None, :, slots], self.values[layer][None, :, slots]
        if is_causal:
            queries = grouped.reshape(1, num_kv * group, num_rows, width)
            keys, values = (each.repeat_interleave(group, dim=1) for each in (keys, values))
        else:  # a group's rows attend to the same: they are just more rows of one head
            queries = grouped.reshape(1, num_kv, group * num_rows, width)
        out, lse = _attention(queries, keys, values, is_causal=is_causal, scale=self.scale)
        return out.reshape(grouped.shape), lse.reshape(grouped.shape[:3])


def attention_layout(chunks: abc.Iterable[Chunk]) -> list[ChunkAttention]:
    """Return each chunk's rows in the batch, and what they attend to."""
    rows, at = [], 0
    for chunk in chunks:
        before, own = _runs(chunk)
        stop = at + chunk.num_tokens
        # A single row is causal by itself; its slot joins the run before it.
        full_runs = _merge_adjacent([*before, own] if chunk.num_tokens == 1 else before)
        rows.append(ChunkAttention(at, stop, own, full_runs))
        at = stop
    return rows


def _runs(chunk: Chunk) -> tuple[list[Run], Run]:
    """Return the runs before a chunk, and its own; a chunk never crosses the end of the prefix."""
    sequence = chunk.sequence
    prefix, tail = sequence.prefix, sequence.tail
    assert tail is not None
    if prefix is not None and not prefix.is_computed:
        assert prefix.extent is not None
        base = prefix.extent.start
        own = (base + chunk.start, base + chunk.stop)
        return ([(base, own[0])] if chunk.start else []), own
    before: list[Run] = []
    if prefix is not None and prefix.extent is not None:
        before.append((prefix.extent.start, prefix.extent.stop))
    first = tail.start + chunk.start - sequence.num_prefix
    if first > tail.start:
        before.append((tail.start, first))
    return before, (first, first + chunk.num_tokens)


def _merge_adjacent(runs: abc.Iterable[Run]) -> list[Run]:
    """Return `runs` with adjacent ones merged."""
    merged: list[Run] = []
    for start, stop in runs:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        else:
            merged.append((start, stop))
    return merged


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
