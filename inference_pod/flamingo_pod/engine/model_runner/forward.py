"""Two forward passes of the language model, over the same weights.

`TransformersForward` runs the transformers library's modules with our attention plugged in: the
reference for tests, and the way to run architectures that the other does not support.
`FusedForward` does the same arithmetic in a quarter of the calls: one product for queries, keys
and values, one for gate and up, sums with their norms, and rotations from a table.
"""

import functools
from typing import Any, Protocol

import torch
from transformers import AttentionInterface

from flamingo_pod.engine.model_runner.attention.by_runs import AttentionByRuns
from flamingo_pod.engine.model_runner.attention.interface import Attention
from flamingo_pod.engine.model_runner.device_batch import DeviceBatch
from flamingo_pod.engine.model_runner.layer_ops import LayerOps, Norm
from flamingo_pod.model.fp8 import Fp8Matrix
from flamingo_pod.model.linear import Weight, fuse, product, weight_of

ATTENTION_NAME = "flamingo_extents"
"""The name under which our attention is registered with transformers."""


class Forward(Protocol):
    """Computes the last hidden states of a batch's rows from their embeddings and positions.

    The rows' keys and values are written to the pool.
    """

    def __call__(self, embeds: torch.Tensor, batch: DeviceBatch) -> torch.Tensor:
        """Return last hidden states `(rows, width)`; `embeds` is `(rows, width)`."""
        ...


class TransformersForward:
    """The transformers library's modules, with attention over the pool plugged in."""

    def __init__(self, model: Any, attention: AttentionByRuns) -> None:
        self._language_model = model.model.language_model
        self._attention = attention

    def __call__(self, embeds: torch.Tensor, batch: DeviceBatch) -> torch.Tensor:
        """Return last hidden states `(rows, width)`, as `Forward` describes."""
        config = self._language_model.config
        before = config._attn_implementation  # noqa: SLF001 - no public way to set it for one call
        self._attention.plan(batch)
        AttentionInterface.register(
            ATTENTION_NAME, functools.partial(_pool_attention, self._attention)
        )
        config._attn_implementation = ATTENTION_NAME  # noqa: SLF001
        try:
            hidden = self._language_model(
                inputs_embeds=embeds[None],
                position_ids=batch.positions[None].long(),
                attention_mask={"full_attention": None},  # a dict keeps masks from being built
                use_cache=False,
            ).last_hidden_state
        finally:
            config._attn_implementation = before  # noqa: SLF001
        return hidden[0]  # type: ignore[no-any-return]  # transformers is untyped here


def _pool_attention(
    attention: AttentionByRuns, module: Any, *qkv_mask: Any, **_: Any
) -> tuple[torch.Tensor, None]:
    """Return attention as transformers expects it: `(1, rows, heads, width)`.

    The queries, keys and values are `(1, heads, rows, width)`.
    """
    query, key, value, *_mask = qkv_mask
    attention.write(module.layer_idx, key[0].transpose(0, 1), value[0].transpose(0, 1))
    return attention.attend(module.layer_idx, query[0].transpose(0, 1))[None], None


class _FusedLayer:
    """One decoder layer's weights, fused where one product can replace several."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.qkv = fuse([attention.q_proj, attention.k_proj, attention.v_proj])
        self.gate_up = fuse([mlp.gate_proj, mlp.up_proj])
        self.out, self.down = weight_of(attention.o_proj), weight_of(mlp.down_proj)
        self.norm_in = _norm(layer.input_layernorm, is_fp8=_is_fp8(self.qkv[0]))
        self.norm_mid = _norm(layer.post_attention_layernorm, is_fp8=_is_fp8(self.gate_up[0]))
        self.is_out_fp8, self.is_down_fp8 = _is_fp8(self.out), _is_fp8(self.down)


def _is_fp8(weight: Weight) -> bool:
    return isinstance(weight, Fp8Matrix)


def _norm(module: Any, *, is_fp8: bool) -> Norm:
    return Norm(module.weight, module.variance_epsilon, is_fp8)


class FusedForward:
    """Qwen2's decoder layers, written out over fused weights."""

    def __init__(self, model: Any, attention: Attention, ops: LayerOps) -> None:
        language_model = model.model.language_model
        self._attention = attention
        self._ops = ops
        self._layers = [_FusedLayer(layer) for layer in language_model.layers]
        # The norm behind each layer is the next one's first, or the last of all.
        last = _norm(language_model.norm, is_fp8=False)
        self._norms_behind = [layer.norm_in for layer in self._layers[1:]] + [last]
        self._cos, self._sin = _rotations(language_model, model.lm_head.weight)

    def __call__(self, embeds: torch.Tensor, batch: DeviceBatch) -> torch.Tensor:
        """Return last hidden states `(rows, width)`, as `Forward` describes."""
        ops, hidden = self._ops, embeds
        self._attention.plan(batch)
        rotation = (
            self._cos.index_select(0, batch.positions),
            self._sin.index_select(0, batch.positions),
        )
        dtype, attention = embeds.dtype, self._attention
        normed = ops.rms_norm(hidden, self._layers[0].norm_in)
        layers = zip(self._layers, self._norms_behind, strict=True)
        for number, (layer, behind) in enumerate(layers):
            qkv = product(normed, *layer.qkv, dtype)
            attended = attention.write_and_attend(number, qkv, rotation, is_fp8=layer.is_out_fp8)
            out = product(attended, layer.out, None, dtype)
            hidden, normed = ops.add_rms_norm(hidden, out, layer.norm_mid)
            gate_up = product(normed, *layer.gate_up, dtype)
            activated = ops.silu_mul(gate_up, is_fp8=layer.is_down_fp8)
            down = product(activated, layer.down, None, dtype)
            hidden, normed = ops.add_rms_norm(hidden, down, behind)
        assert isinstance(normed, torch.Tensor)
        return normed


@torch.inference_mode()
def _rotations(language_model: Any, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and sines of all positions of the context, `(positions, head width)` each."""
    num_positions = language_model.config.max_position_embeddings
    positions = torch.arange(num_positions, device=like.device)
    cos, sin = language_model.rotary_emb(like, positions[None])
    return cos[0], sin[0]
