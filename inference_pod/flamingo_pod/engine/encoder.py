"""Windows of any clips → encoder states → rows for the language model, each computed once. Torch.

Two caches, both bounded: states by what is heard, rows by that and by where in
its clip the window sounds, since the rotation in time stands between them.
"""

import time
from collections import abc
from typing import Any

import torch

from flamingo_pod.engine.audio import AudioWindow
from flamingo_pod.engine.cache import CostAwareCache
from flamingo_pod.engine.profile import EngineProfile
from flamingo_pod.model import window_encoder
from flamingo_pod.model.checkpoint import Checkpoint
from flamingo_pod.model.mel import LogMel


class AudioEncoder:
    """The audio encoder, with its memory."""

    def __init__(
        self, checkpoint: Checkpoint, profile: EngineProfile, *, max_cache_bytes: int
    ) -> None:
        self._model: Any = checkpoint.model
        self._mel = LogMel(checkpoint.processor.feature_extractor, self._model.device)
        # On a CPU a batch of full windows is a fifth slower than one after the other.
        self._max_batch = (
            window_encoder.MAX_BATCH_WINDOWS if self._model.device.type != "cpu" else 1
        )
        self.states: CostAwareCache[torch.Tensor] = CostAwareCache(max_cache_bytes // 2)
        self.rows: CostAwareCache[torch.Tensor] = CostAwareCache(max_cache_bytes // 2)
        self._profile = profile

    def encode(self, windows: abc.Sequence[AudioWindow]) -> None:
        """Fill in each window's states: from the cache, or all the others in one go."""
        for window in windows:
            if window.states is None:
                window.states = self.states.get(window.key)
        missing = {window.key: window for window in windows if window.states is None}
        if not missing:
            return
        computed = dict(zip(missing, self._compute(list(missing.values())), strict=True))
        for window in windows:
            if window.states is None:
                window.states = computed[window.key]

    def heard(self, placed: abc.Sequence[tuple[AudioWindow, int]]) -> list[torch.Tensor]:
        """Return what the language model hears of each window at its place in its clip.

        `(num_tokens, width)` each; states are computed where they are missing.
        """
        found = [self.rows.get((window.key, index)) for window, index in placed]
        missing = [pair for pair, rows in zip(placed, found, strict=True) if rows is None]
        if not missing:
            return [rows for rows in found if rows is not None]
        self.encode([window for window, _ in missing])
        started_s = time.monotonic()
        projected = window_encoder.project_many(
            self._model, [(window.states, index) for window, index in missing]
        )
        cost_s = (time.monotonic() - started_s) / len(missing)
        for (window, index), rows in zip(missing, projected, strict=True):
            _keep(self.rows, (window.key, index), rows, cost_s)
        fresh = iter(projected)
        return [next(fresh) if rows is None else rows for rows in found]

    def _compute(self, windows: abc.Sequence[AudioWindow]) -> list[torch.Tensor]:
        started_s = time.monotonic()
        mels = self._mel([window.samples for window in windows])
        heard_s = time.monotonic()
        states = window_encoder.encode(self._model, mels, self._max_batch)
        ended_s = time.monotonic()
        self._profile.mel_s += heard_s - started_s
        self._profile.encode_s += ended_s - heard_s
        self._profile.num_windows += len(windows)
        for window, each in zip(windows, states, strict=True):
            window.is_encoded = True
            _keep(self.states, window.key, each, (ended_s - started_s) / len(windows))
        return states


def _keep(
    cache: CostAwareCache[torch.Tensor], key: abc.Hashable, value: torch.Tensor, cost_s: float
) -> None:
    cache.put(key, value, size_bytes=value.numel() * value.element_size(), cost_s=cost_s)
