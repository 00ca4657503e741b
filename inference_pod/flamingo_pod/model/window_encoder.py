"""Log-mels → encoder states → what the language model hears, without padding. Torch.

transformers pads each window to 30 s and masks the rest. A window's states
depend on nothing but its own sound, so here it is encoded at its own length,
together with others that are as long: the same states (within 1e-5 in float32)
for a tenth of the work if it holds 3 s.

States are kept before their rotation in time: a window is encoded once, wherever
in a clip it sounds.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import gelu, scaled_dot_product_attention

from flamingo_common.audio import windows
from flamingo_pod.model.linear import through
from flamingo_pod.model.mel import batches

MAX_BATCH_WINDOWS = 16
"""A full window is 2.3 TFLOP in the published encoder: enough to fill a GPU."""


@torch.inference_mode()
def encode(
    model: Any, mels: Sequence[torch.Tensor], max_batch_windows: int = MAX_BATCH_WINDOWS
) -> list[torch.Tensor]:
    """Return each window's states, `(num_tokens, encoder width)` in the model's type, in order.

    `mels` are of `flamingo_pod.model.mel.LogMel`; the model is in eval mode. Each
    result owns its memory: dropping one frees its bytes, whoever keeps the others.
    """
    states: dict[int, torch.Tensor] = {}
    for places in batches([mel.shape[1] for mel in mels], lambda _: max_batch_windows):
        batch = _states(model.model.audio_tower, torch.stack([mels[place] for place in places]))
        states |= zip(places, map(_owned, batch), strict=True)
    return [states[place] for place in range(len(mels))]


@torch.inference_mode()
def project(model: Any, states: torch.Tensor, index: int) -> torch.Tensor:
    """Return what the language model hears of window `index` of a clip, `(num_tokens, width)`."""
    [heard] = project_many(model, [(states, index)])
    return heard


@torch.inference_mode()
def project_many(model: Any, placed: Sequence[tuple[torch.Tensor, int]]) -> list[torch.Tensor]:
    """Return `project` of each pair of states and window index, the projector run once."""
    if not placed:
        return []
    rotated = [_in_time(model.model, states, index) for states, index in placed]
    heard = model.model.multi_modal_projector(torch.cat(rotated))
    return [_owned(rows) for rows in heard.split([len(states) for states in rotated])]


def _states(tower: Any, mels: torch.Tensor) -> torch.Tensor:
    """Return the states of windows of one length; `mels` is `(windows, mels, frames)`.

    What AudioFlamingo3Encoder's `forward` does in eval mode, by its own modules.
    It holds an `embed_scale` and never uses it, and so it is here. Attention
    needs no mask, for nothing is padding.
    """
    num_positions = mels.shape[-1] // 2  # of 2 * Lc + 1 frames, or of 3,000
    hidden = gelu(tower.conv1(mels.to(tower.device, tower.dtype)))
    # The output at the extra frame misses the frames after it; no position may see it.
    hidden = gelu(tower.conv2(hidden[..., : 2 * num_positions])).transpose(1, 2)
    hidden = hidden + tower.embed_positions.weight[:num_positions]
    for layer in tower.layers:
        hidden = _layer(layer, hidden)
    pooled = tower.avg_pooler(hidden.transpose(1, 2)).transpose(1, 2)
    states: torch.Tensor = tower.layer_norm(pooled)
    return states


def _layer(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Return what AudioFlamingo3EncoderLayer's `forward` does in eval mode, by `linear`."""
    hidden = hidden + _attended(layer.self_attn, layer.self_attn_layer_norm(hidden))
    widened = layer.activation_fn(through(layer.fc1, layer.final_layer_norm(hidden)))
    hidden = hidden + through(layer.fc2, widened)
    if hidden.dtype == torch.float16:  # as there: an overflow must not become infinite
        limit = torch.finfo(torch.float16).max - 1000
        hidden = hidden.clamp(-limit, limit)
    return hidden


def _attended(attention: Any, hidden: torch.Tensor) -> torch.Tensor:
    num_windows, num_positions, width = hidden.shape

    def heads(rows: torch.Tensor) -> torch.Tensor:
        shape = (num_windows, num_positions, attention.num_heads, attention.head_dim)
        return rows.view(shape).transpose(1, 2)

    # Scaled before the product, as the checkpoint was trained: it rounds otherwise after it.
    queries = heads(through(attention.q_proj, hidden) * attention.scaling)
    keys = heads(through(attention.k_proj, hidden))
    values = heads(through(attention.v_proj, hidden))
    mixed = scaled_dot_product_attention(queries, keys, values, scale=1.0)
    rows = mixed.transpose(1, 2).reshape(num_windows, num_positions, width)
    return through(attention.out_proj, rows)


def _in_time(model: Any, states: torch.Tensor, index: int) -> torch.Tensor:
    """Rotate a window's states by when they sound: window index and frame (RoTE).

    AudioFlamingo3 checkpoints have no such embedding and pass through.
    """
    if not hasattr(model, "pos_emb"):
        return states
    num_frames = windows.TOKENS_PER_WINDOW
    step_s = model.config.audio_frame_step * 4  # the encoder halves time twice
    # In float32 and in this order, to round as the checkpoint was trained.
    starts_s = torch.full((1, 1), index, device=states.device) * num_frames * step_s
    offsets_s = torch.arange(num_frames, device=states.device, dtype=torch.float32) * step_s
    cos, sin = model.pos_emb(starts_s + offsets_s, seq_len=num_frames)
    return _rotate(states, cos[0, : len(states)], sin[0, : len(states)])


def _owned(rows: torch.Tensor) -> torch.Tensor:
    """Return a copy that keeps nothing else alive."""
    return rows.clone(memory_format=torch.contiguous_format)


def _rotate(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate the first `cos.shape[-1]` channels pairwise, in float64 as the checkpoint does."""
    wide = states.double()
    turned, kept = wide[..., : cos.shape[-1]], wide[..., cos.shape[-1] :]
    first, second = turned.reshape(*turned.shape[:-1], -1, 2).unbind(-1)
    quarter = torch.stack((-second, first), dim=-1).flatten(-2)
    turned = turned * cos.double() + quarter * sin.double()
    return torch.cat((turned, kept), dim=-1).to(states.dtype)
