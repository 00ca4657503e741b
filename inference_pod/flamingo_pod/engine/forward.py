"""Two ways through the language model, over the same weights. Torch.

`TransformersForward` runs transformers' own modules with attention plugged in: the oracle,
and the way that any future checkpoint works. `FusedForward` does the same arithmetic in a
quarter of the calls: one product for queries, keys and values, one for gate and
up, and norms and rotations without copies.
"""

import functools
from collections import abc
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere
from transformers import AttentionInterface

from flamingo_pod.engine.kv import ChunkAttention, KvPool
from flamingo_pod.model.linear import linear

REFERENCE_ATTENTION = "flamingo_extents"


class Forward(Protocol):
    """Embeddings and positions of a batch's rows → their last hidden states, KV written."""

    def __call__(
        self, embeds: torch.Tensor, positions: torch.Tensor, rows: abc.Sequence[ChunkAttention]
    ) -> torch.Tensor:
        """Return `(rows, width)`; `embeds` is `(rows, width)`, `positions` `(rows,)`."""
        ...


class TransformersForward:
    """transformers' modules, with attention over the pool plugged in."""

    def __init__(self, model: Any, pool: KvPool) -> None:
        self._language_model = model.model.language_model
        self._pool = pool

    def __call__(
        self, embeds: torch.Tensor, positions: torch.Tensor, rows: abc.Sequence[ChunkAttention]
    ) -> torch.Tensor:
        """See `Forward`."""
        config = self._language_model.config
        before = config._attn_implementation  # noqa: SLF001 - no public way to set it for one call
        AttentionInterface.register(
            REFERENCE_ATTENTION, functools.partial(_plugged, self._pool, rows)
        )
        config._attn_implementation = REFERENCE_ATTENTION  # noqa: SLF001
        try:
            hidden = self._language_model(
                inputs_embeds=embeds[None],
                position_ids=positions[None],
                attention_mask={"full_attention": None},  # a dict keeps masks from being built
                use_cache=False,
            ).last_hidden_state
        finally:
            config._attn_implementation = before  # noqa: SLF001
        return hidden[0]  # type: ignore[no-any-return]  # transformers is untyped here


def _plugged(
    pool: KvPool, rows: abc.Sequence[ChunkAttention], module: Any, *qkv_mask: Any, **_: Any
) -> tuple[torch.Tensor, None]:
    """As transformers calls it: `(1, heads, rows, width)` in, `(1, rows, heads, width)` out."""
    query, key, value, *_mask = qkv_mask
    pool.write(module.layer_idx, key[0].transpose(0, 1), value[0].transpose(0, 1), rows)
    return pool.attend(module.layer_idx, query[0].transpose(0, 1), rows)[None], None


class _FusedLayer:
    """One decoder layer's weights, fused where one product can serve several."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.qkv = _fuse([attention.q_proj, attention.k_proj, attention.v_proj])
        self.gate_up = _fuse([mlp.gate_proj, mlp.up_proj])
        self.out, self.down = attention.o_proj.weight, mlp.down_proj.weight
        self.norm_in, self.norm_mid = layer.input_layernorm, layer.post_attention_layernorm


class FusedForward:
    """Qwen2's arithmetic, written out."""

    def __init__(self, model: Any, pool: KvPool) -> None:
        language_model = model.model.language_model
        config = language_model.config
        self._pool = pool
        self._rotary = language_model.rotary_emb
        self._norm = language_model.norm
        self._layers = [_FusedLayer(layer) for layer in language_model.layers]
        self._num_heads = config.num_attention_heads
        self._num_kv = config.num_key_value_heads

    def __call__(
        self, embeds: torch.Tensor, positions: torch.Tensor, rows: abc.Sequence[ChunkAttention]
    ) -> torch.Tensor:
        """See `Forward`."""
        cos, sin = self._rotary(embeds, positions[None])
        turn = cos[0].unsqueeze(1), sin[0].unsqueeze(1)
        hidden = embeds
        for number, layer in enumerate(self._layers):
            attended = self._attend(number, layer, _normed(hidden, layer.norm_in), turn, rows)
            hidden = hidden + linear(attended, layer.out, None)
            gate, up = linear(_normed(hidden, layer.norm_mid), *layer.gate_up).chunk(2, dim=-1)
            hidden = hidden + linear(F.silu(gate) * up, layer.down, None)
        return _normed(hidden, self._norm)

    def _attend(
        self,
        number: int,
        layer: _FusedLayer,
        hidden: torch.Tensor,
        turn: tuple[torch.Tensor, torch.Tensor],
        rows: abc.Sequence[ChunkAttention],
    ) -> torch.Tensor:
        packed = linear(hidden, *layer.qkv)
        heads = packed.view(len(packed), self._num_heads + 2 * self._num_kv, -1)
        turned = _rotated(heads[:, : self._num_heads + self._num_kv], *turn)
        queries, keys = turned[:, : self._num_heads], turned[:, self._num_heads :]
        self._pool.write(number, keys, heads[:, self._num_heads + self._num_kv :], rows)
        return self._pool.attend(number, queries, rows).flatten(1)


def _fuse(projections: abc.Sequence[Any]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the projections as one; each goes on as a view of it, so no weight is held twice."""
    weight = torch.cat([projection.weight.data for projection in projections])
    biases = [projection.bias for projection in projections]
    bias = None if biases[0] is None else torch.cat([each.data for each in biases])
    at = 0
    for projection in projections:
        stop = at + projection.weight.shape[0]
        projection.weight.data = weight[at:stop]
        if bias is not None:
            projection.bias.data = bias[at:stop]
        at = stop
    return weight, bias


def _normed(hidden: torch.Tensor, norm: Any) -> torch.Tensor:
    """RMSNorm as transformers computes it: in float32, rounded before the weight."""
    if hidden.dtype == torch.float32:
        return F.rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)
    wide = F.rms_norm(hidden.float(), norm.weight.shape, None, norm.variance_epsilon)
    return norm.weight * wide.to(hidden.dtype)  # type: ignore[no-any-return]


def _rotated(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions over half-split pairs, `(rows, heads, width)`."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-second, first), dim=-1) * sin
