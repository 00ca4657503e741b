"""Encoder states and audio embeddings of log-mel spectrograms, without padding.

transformers pads each window to 30 s and masks the rest. A window's states depend on its own
audio alone, so here it is encoded at its own length, in a batch with others of the same length:
the same states (within 1e-5 in float32), for a tenth of the work in the case of 3 s.

Encoder states are cached before the time rotation (RoTE), so a window is encoded once, whatever
its index in a clip.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import gelu, scaled_dot_product_attention

from flamingo_common.audio import windows
from flamingo_pod.model.linear import apply_linear
from flamingo_pod.model.mel import batches

MAX_BATCH_WINDOWS = 16
"""A full window is 2.3 TFLOP in the published encoder: enough to fill a GPU."""


@torch.inference_mode()
def encode(
    model: Any, mels: Sequence[torch.Tensor], max_batch_windows: int = MAX_BATCH_WINDOWS
) -> list[torch.Tensor]:
    """Return each window's encoder states, `(num_tokens, encoder width)` in the model's dtype.

    `mels` come from `flamingo_pod.model.mel.LogMel`, `(mels, frames)` each; the model is in eval
    mode. Each result owns its memory, so freeing one frees its bytes.
    """
    states: dict[int, torch.Tensor] = {}
    for places in batches([mel.shape[1] for mel in mels], lambda _: max_batch_windows):
        batch = _states(model.model.audio_tower, torch.stack([mels[place] for place in places]))
        states |= zip(places, map(_copy, batch), strict=True)
    return [states[place] for place in range(len(mels))]


@torch.inference_mode()
def project(model: Any, states: torch.Tensor, first_frame: int) -> torch.Tensor:
    """Return the embeddings of a window at this frame of its clip, `(num_tokens, width)`."""
    [embeddings] = project_many(model, [(states, first_frame)])
    return embeddings


@torch.inference_mode()
def project_many(model: Any, placed: Sequence[tuple[torch.Tensor, int]]) -> list[torch.Tensor]:
    """Return `project` for each pair of states and frame, in one run of the projector."""
    if not placed:
        return []
    rotated = [_rotate_by_time(model.model, states, at) for states, at in placed]
    embeddings = model.model.multi_modal_projector(torch.cat(rotated))
    return [_copy(rows) for rows in embeddings.split([len(states) for states in rotated])]


def _states(tower: Any, mels: torch.Tensor) -> torch.Tensor:
    """Return the states of windows of one length; `mels` is `(windows, mels, frames)`.

    The same as AudioFlamingo3Encoder's `forward` in eval mode, by its own modules. Its
    `embed_scale` is unused there, and so it is here. Attention needs no mask, as there is no
    padding.
    """
    num_positions = mels.shape[-1] // 2  # of 2 * Lc + 1 frames, or of 3,000
    hidden = gelu(tower.conv1(mels.to(tower.device, tower.dtype)))
    # The output at the extra frame lacks the frames after it; no position may read it.
    hidden = gelu(tower.conv2(hidden[..., : 2 * num_positions])).transpose(1, 2)
    hidden = hidden + tower.embed_positions.weight[:num_positions]
    for layer in tower.layers:
        hidden = _layer(layer, hidden)
    pooled = tower.avg_pooler(hidden.transpose(1, 2)).transpose(1, 2)
    states: torch.Tensor = tower.layer_norm(pooled)
    return states


def _layer(layer: Any, hidden: torch.Tensor) -> torch.Tensor:
    """Return the same as AudioFlamingo3EncoderLayer's `forward` in eval mode, with `linear`."""
    hidden = hidden + _self_attention(layer.self_attn, layer.self_attn_layer_norm(hidden))
    widened = layer.activation_fn(apply_linear(layer.fc1, layer.final_layer_norm(hidden)))
    hidden = hidden + apply_linear(layer.fc2, widened)
    if hidden.dtype == torch.float16:  # as there: an overflow must not become infinite
        limit = torch.finfo(torch.float16).max - 1000
        hidden = hidden.clamp(-limit, limit)
    return hidden


def _self_attention(attention: Any, hidden: torch.Tensor) -> torch.Tensor:
    num_windows, num_positions, width = hidden.shape

    def heads(rows: torch.Tensor) -> torch.Tensor:
        shape = (num_windows, num_positions, attention.num_heads, attention.head_dim)
        return rows.view(shape).transpose(1, 2)

    # Scaled before the product, as in training: scaling after it rounds differently.
    queries = heads(apply_linear(attention.q_proj, hidden) * attention.scaling)
    keys = heads(apply_linear(attention.k_proj, hidden))
    values = heads(apply_linear(attention.v_proj, hidden))
    mixed = scaled_dot_product_attention(queries, keys, values, scale=1.0)
    rows = mixed.transpose(1, 2).reshape(num_windows, num_positions, width)
    return apply_linear(attention.out_proj, rows)


def _rotate_by_time(model: Any, states: torch.Tensor, first_frame: int) -> torch.Tensor:
    """Rotate a window's states by their time: 30 s window of the clip, and frame in it (RoTE).

    AudioFlamingo3 checkpoints have no such embedding; their states are returned unchanged.
    """
    if not hasattr(model, "pos_emb"):
        return states
    num_frames = windows.TOKENS_PER_WINDOW
    index, offset = divmod(first_frame, num_frames)
    frames = slice(offset, offset + len(states))
    step_s = model.config.audio_frame_step * 4  # the encoder halves time twice
    # In float32 and in this order, to round as in training.
    starts_s = torch.full((1, 1), index, device=states.device) * num_frames * step_s
    offsets_s = torch.arange(num_frames, device=states.device, dtype=torch.float32) * step_s
    cos, sin = model.pos_emb(starts_s + offsets_s, seq_len=num_frames)
    return _rotate(states, cos[0, frames], sin[0, frames])


def _copy(rows: torch.Tensor) -> torch.Tensor:
    """Return a copy that shares no memory."""
    return rows.clone(memory_format=torch.contiguous_format)


def _rotate(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate the first `cos.shape[-1]` channels pairwise, in float64 as the checkpoint does."""
    wide = states.double()
    rotated, rest = wide[..., : cos.shape[-1]], wide[..., cos.shape[-1] :]
    first, second = rotated.reshape(*rotated.shape[:-1], -1, 2).unbind(-1)
    quarter = torch.stack((-second, first), dim=-1).flatten(-2)
    rotated = rotated * cos.double() + quarter * sin.double()
    return torch.cat((rotated, rest), dim=-1).to(states.dtype)
