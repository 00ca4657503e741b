"""Two forward passes of the language model, over the same weights.

`TransformersForward` runs the transformers library's modules with our attention plugged in: the
reference for tests, and the way to run architectures that the other does not support.
`FusedForward` does the same arithmetic in a quarter of the calls: one product for queries, keys
and values, one for gate and up, and norms and rotations without copies.
"""

import functools
from collections import abc
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - its name everywhere
from transformers import AttentionInterface

from flamingo_pod.engine.kv import ChunkAttention, KvPool
from flamingo_pod.model.linear import linear

ATTENTION_NAME = "flamingo_extents"
"""The name under which our attention is registered with transformers."""


class Forward(Protocol):
    """Computes the last hidden states of a batch's rows from their embeddings and positions.

    The rows' keys and values are written to the pool.
    """

    def __call__(
        self, embeds: torch.Tensor, positions: torch.Tensor, chunks: abc.Sequence[ChunkAttention]
    ) -> torch.Tensor:
        """Return last hidden states `(rows, width)`.

        `embeds` is `(rows, width)`, `positions` is `(rows,)`, and `chunks` divides the rows.
        """
        ...


class TransformersForward:
    """The transformers library's modules, with attention over the pool plugged in."""

    def __init__(self, model: Any, pool: KvPool) -> None:
        self._language_model = model.model.language_model
        self._pool = pool

    def __call__(
        self, embeds: torch.Tensor, positions: torch.Tensor, chunks: abc.Sequence[ChunkAttention]
    ) -> torch.Tensor:
        """Return last hidden states `(rows, width)`, as `Forward` describes."""
        config = self._language_model.config
        before = config._attn_implementation  # noqa: SLF001 - no public way to set it for one call
        AttentionInterface.register(
            ATTENTION_NAME, functools.partial(_pool_attention, self._pool, chunks)
        )
        config._attn_implementation = ATTENTION_NAME  # noqa: SLF001
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


def _pool_attention(
    pool: KvPool, chunks: abc.Sequence[ChunkAttention], module: Any, *qkv_mask: Any, **_: Any
) -> tuple[torch.Tensor, None]:
    """Return attention as transformers expects it: `(1, rows, heads, width)`.

    The queries, keys and values are `(1, heads, rows, width)`.
    """
    query, key, value, *_mask = qkv_mask
    pool.write(module.layer_idx, key[0].transpose(0, 1), value[0].transpose(0, 1), chunks)
    return pool.attend(module.layer_idx, query[0].transpose(0, 1), chunks)[None], None


class _FusedLayer:
    """One decoder layer's weights, fused where one product can replace several."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.qkv = _fuse([attention.q_proj, attention.k_proj, attention.v_proj])
        self.gate_up = _fuse([mlp.gate_proj, mlp.up_proj])
        self.out, self.down = attention.o_proj.weight, mlp.down_proj.weight
        self.norm_in, self.norm_mid = layer.input_layernorm, layer.post_attention_layernorm


class FusedForward:
    """Qwen2's decoder layers, written out over fused weights."""

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
        self, embeds: torch.Tensor, positions: torch.Tensor, chunks: abc.Sequence[ChunkAttention]
    ) -> torch.Tensor:
        """Return last hidden states `(rows, width)`, as `Forward` describes."""
        cos, sin = self._rotary(embeds, positions[None])
        rotation = cos[0].unsqueeze(1), sin[0].unsqueeze(1)
        hidden = embeds
        for number, layer in enumerate(self._layers):
            attended = self._attend(
                number, layer, _rms_norm(hidden, layer.norm_in), rotation, chunks
            )
            hidden = hidden + linear(attended, layer.out, None)
            gate, up = linear(_rms_norm(hidden, layer.norm_mid), *layer.gate_up).chunk(2, dim=-1)
            hidden = hidden + linear(F.silu(gate) * up, layer.down, None)
        return _rms_norm(hidden, self._norm)

    def _attend(
        self,
        number: int,
        layer: _FusedLayer,
        hidden: torch.Tensor,
        rotation: tuple[torch.Tensor, torch.Tensor],
        chunks: abc.Sequence[ChunkAttention],
    ) -> torch.Tensor:
        packed = linear(hidden, *layer.qkv)
        heads = packed.view(len(packed), self._num_heads + 2 * self._num_kv, -1)
        rotated = _rotate(heads[:, : self._num_heads + self._num_kv], *rotation)
        queries, keys = rotated[:, : self._num_heads], rotated[:, self._num_heads :]
        self._pool.write(number, keys, heads[:, self._num_heads + self._num_kv :], chunks)
        return self._pool.attend(number, queries, chunks).flatten(1)


def _fuse(projections: abc.Sequence[Any]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the projections as one; each becomes a view of it, so no weight is stored twice."""
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


def _rms_norm(hidden: torch.Tensor, norm: Any) -> torch.Tensor:
    """Return RMSNorm as transformers computes it: in float32, rounded before the weight."""
    if hidden.dtype == torch.float32:
        return F.rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)
    wide = F.rms_norm(hidden.float(), norm.weight.shape, None, norm.variance_epsilon)
    return norm.weight * wide.to(hidden.dtype)  # type: ignore[no-any-return]


def _rotate(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Apply rotary positions over half-split pairs to `(rows, heads, width)`."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cos + torch.cat((-second, first), dim=-1) * sin
