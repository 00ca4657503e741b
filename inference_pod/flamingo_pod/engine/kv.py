"""The KV pool, and attention over it. Torch.

A row attends to at most three runs: the shared prefix, its own tail before this
chunk, and the chunk itself. The first two are seen whole, so that no mask is ever
built; only the chunk is causal. The parts are joined by their log-sum-exp, which
is exact (Dao et al., FlashAttention, 2022, §3.1).
"""

from collections import abc
from dataclasses import dataclass
from typing import Any

import torch

from flamingo_pod.engine.memory import KvCopy
from flamingo_pod.engine.scheduler import Chunk

Run = tuple[int, int]
"""`[start, stop)` of the pool."""


@dataclass(frozen=True, slots=True)
class ChunkAttention:
    """Where a chunk's rows stand in the batch, and what they see of the pool."""

    start: int
    stop: int
    own: Run
    """The rows' own places, contiguous in the pool."""
    whole: abc.Sequence[Run]
    """Runs that every row sees whole; one row alone sees its own place so, too."""

    @property
    def is_causal(self) -> bool:
        """Whether the rows also see their own run, each up to itself."""
        return self.stop - self.start > 1


CPU_POOL_BYTES = 2 * 2**30
CPU_POOL_TOKENS = 2**18
"""Eight times the longest context: enough for a laptop, whose memory is wanted elsewhere too."""
GPU_SHARE = 0.85
"""Of the memory that is free once the weights are there; the rest is for activations."""


def default_capacity_tokens(model: Any) -> int:
    """Return how many tokens of KV this machine has room for beside `model`."""
    config, weight = model.config.text_config, model.lm_head.weight
    bytes_per_layer = 2 * config.num_key_value_heads * _width(config) * weight.element_size()
    bytes_per_token = int(bytes_per_layer * config.num_hidden_layers)
    if weight.is_cuda:
        free_bytes, _ = torch.cuda.mem_get_info(weight.device)
        return int(free_bytes * GPU_SHARE) // bytes_per_token
    return min(CPU_POOL_BYTES // bytes_per_token, CPU_POOL_TOKENS)


def _width(config: Any) -> int:
    """Return the width of one head."""
    named = getattr(config, "head_dim", None)
    return int(named or config.hidden_size // config.num_attention_heads)


class KvPool:
    """Keys and values of all layers: `(kv heads, tokens, head width)` each.

    What was never written is never read, nor is memory taken for it.

    One slice of a run is contiguous per head, which is what attention on a CPU
    reads fastest.
    """

    def __init__(self, config: Any, num_tokens: int, like: torch.Tensor) -> None:
        width = _width(config)
        shape = (config.num_key_value_heads, num_tokens, width)
        self.keys = [like.new_empty(shape) for _ in range(config.num_hidden_layers)]
        self.values = [like.new_empty(shape) for _ in range(config.num_hidden_layers)]
        self.scale = width**-0.5

    def copy(self, copies: abc.Iterable[KvCopy]) -> None:
        """KvCopy KV within the pool, in order."""
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
        rows: abc.Iterable[ChunkAttention],
    ) -> None:
        """Store new keys and values, `(rows, kv heads, head width)`, at their rows' places."""
        pool_keys, pool_values = self.keys[layer], self.values[layer]
        for chunk in rows:
            here = slice(*chunk.own)
            pool_keys[:, here] = keys[chunk.start : chunk.stop].transpose(0, 1)
            pool_values[:, here] = values[chunk.start : chunk.stop].transpose(0, 1)

    def attend(
        self, layer: int, queries: torch.Tensor, rows: abc.Iterable[ChunkAttention]
    ) -> torch.Tensor:
        """Return `(rows, heads, head width)` for `queries` of the same shape."""
        out = torch.empty_like(queries)
        for chunk in rows:
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
        parts = [self._part(layer, grouped, run, is_causal=False) for run in chunk.whole]
        if chunk.is_causal:
            parts.append(self._part(layer, grouped, chunk.own, is_causal=True))
        return _merged(parts).flatten(0, 1).transpose(0, 1)

    def _part(
        self, layer: int, grouped: torch.Tensor, run: Run, *, is_causal: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return attention to one run, and its log-sum-exp."""
        num_kv, group, num_rows, width = grouped.shape
        here = slice(*run)
        keys, values = self.keys[layer][None, :, here], self.values[layer][None, :, here]
        if is_causal:
            queries = grouped.reshape(1, num_kv * group, num_rows, width)
            keys, values = (each.repeat_interleave(group, dim=1) for each in (keys, values))
        else:  # a group's rows see the same: they are just more rows of one head
            queries = grouped.reshape(1, num_kv, group * num_rows, width)
        out, lse = _attention(queries, keys, values, is_causal=is_causal, scale=self.scale)
        return out.reshape(grouped.shape), lse.reshape(grouped.shape[:3])


def layout(chunks: abc.Iterable[Chunk]) -> list[ChunkAttention]:
    """Return where each chunk's rows stand, and what they see."""
    rows, at = [], 0
    for chunk in chunks:
        seen, own = _runs(chunk)
        stop = at + chunk.num_tokens
        # One row is causal by itself; its place joins what stands before it.
        whole = _joined([*seen, own] if chunk.num_tokens == 1 else seen)
        rows.append(ChunkAttention(at, stop, own, whole))
        at = stop
    return rows


def _runs(chunk: Chunk) -> tuple[list[Run], Run]:
    """Return the runs before a chunk, and its own; a chunk never crosses the prefix's end."""
    sequence = chunk.sequence
    prefix, tail = sequence.prefix, sequence.tail
    assert tail is not None
    if prefix is not None and not prefix.is_computed:
        assert prefix.extent is not None
        base = prefix.extent.start
        own = (base + chunk.start, base + chunk.stop)
        return ([(base, own[0])] if chunk.start else []), own
    seen: list[Run] = []
    if prefix is not None and prefix.extent is not None:
        seen.append((prefix.extent.start, prefix.extent.stop))
    first = tail.start + chunk.start - sequence.num_prefix
    if first > tail.start:
        seen.append((tail.start, first))
    return seen, (first, first + chunk.num_tokens)


def _joined(runs: abc.Iterable[Run]) -> list[Run]:
    """Return `runs` with neighbours made one."""
    joined: list[Run] = []
    for start, stop in runs:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


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


def _merged(parts: abc.Sequence[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Return attention over all parts' keys together."""
    if len(parts) == 1:
        return parts[0][0]
    total = torch.stack([lse for _, lse in parts]).logsumexp(dim=0)
    weighted = [out * (lse - total).exp().unsqueeze(-1).to(out.dtype) for out, lse in parts]
    return torch.stack(weighted).sum(dim=0)
