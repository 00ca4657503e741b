"""Samples → encoder states → what the language model hears. Torch.

Each window is encoded by itself; its place in the clip enters afterwards, with
the rotary time embedding. So the states can be kept, and a clip is encoded
once however many questions are asked about it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flamingo.audio import windows

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EncodedAudio:
    """One clip after the encoder.

    `states` is `(num_windows, 750, encoder width)`, before the time rotation;
    `num_tokens[k]` says how many rows of window k are sound, the rest is padding.
    """

    states: torch.Tensor
    num_tokens: tuple[int, ...]

    @property
    def total_tokens(self) -> int:
        """All the clip's audio tokens."""
        return sum(self.num_tokens)

    def valid(self, rows: torch.Tensor) -> torch.Tensor:
        """Return `rows` of shape `(num_windows, 750, d)` without padding, `(tokens, d)`."""
        kept = [window[:count] for window, count in zip(rows, self.num_tokens, strict=True)]
        return torch.cat(kept)


@torch.inference_mode()
def encode(model: Any, processor: Any, samples: Samples) -> EncodedAudio:
    """Return the encoder states of mono 16 kHz float32 `samples`, at least 321 of them."""
    spans = windows.spans(len(samples))
    features = processor.feature_extractor(
        [samples[start:stop] for start, stop in spans],
        sampling_rate=windows.SAMPLE_RATE_HZ,
        return_attention_mask=True,
        return_tensors="pt",
    )
    tower = model.model.audio_tower
    states = tower(
        features["input_features"].to(tower.device, tower.dtype),
        input_features_mask=features["attention_mask"].to(tower.device),
    ).last_hidden_state
    counts = tuple(windows.num_tokens_of_window(stop - start) for start, stop in spans)
    return EncodedAudio(states=states, num_tokens=counts)


@torch.inference_mode()
def project(model: Any, audio: EncodedAudio) -> torch.Tensor:
    """Return what the language model hears, `(tokens, language model's width)`."""
    rotated = _in_time(model.model, audio.states)
    return audio.valid(model.model.multi_modal_projector(rotated))


def _in_time(model: Any, states: torch.Tensor) -> torch.Tensor:
    """Rotate each window's states by when they sound: window index and frame (RoTE).

    AudioFlamingo3 checkpoints have no such embedding and pass through.
    """
    if not hasattr(model, "pos_emb"):
        return states
    num_windows, num_frames, _ = states.shape
    step_s = model.config.audio_frame_step * 4  # the encoder halves time twice
    # In float32 and in this order, to round as the checkpoint was trained.
    starts_s = torch.arange(num_windows, device=states.device).unsqueeze(1) * num_frames * step_s
    offsets_s = torch.arange(num_frames, device=states.device, dtype=torch.float32) * step_s
    cos, sin = model.pos_emb(starts_s + offsets_s, seq_len=num_frames)
    return _rotate(states, cos, sin)


def _rotate(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate the first `cos.shape[-1]` channels pairwise, in float64 as the checkpoint does."""
    wide = states.double()
    turned, kept = wide[..., : cos.shape[-1]], wide[..., cos.shape[-1] :]
    first, second = turned.reshape(*turned.shape[:-1], -1, 2).unbind(-1)
    quarter = torch.stack((-second, first), dim=-1).flatten(-2)
    turned = turned * cos.double() + quarter * sin.double()
    return torch.cat((turned, kept), dim=-1).to(states.dtype)
