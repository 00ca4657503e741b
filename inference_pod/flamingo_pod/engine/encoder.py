"""The audio encoder: encodes windows, projects their states to embeddings, and caches both.

Two caches, both bounded: encoder states by the window's samples, and projected embeddings by
samples and the window's index in its clip, since the time rotation (RoTE) between the two depends
on the index.
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
    """Encodes and projects windows, each at most once while its result is cached."""

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
        """`(num_tokens, encoder width)` by window key."""
        self.embeddings: CostAwareCache[torch.Tensor] = CostAwareCache(max_cache_bytes // 2)
        """`(num_tokens, width)` by window key and index."""
        self._profile = profile

    def encode(self, windows: abc.Sequence[AudioWindow]) -> None:
        """Set each window's `states`, from the cache or computed together."""
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

    def project(self, placed: abc.Sequence[tuple[AudioWindow, int]]) -> list[torch.Tensor]:
        """Return the language model's input embeddings of windows at their indices in a clip.

        `(num_tokens, width)` each; missing encoder states are computed.
        """
        cached = [self.embeddings.get((window.key, index)) for window, index in placed]
        missing = [pair for pair, rows in zip(placed, cached, strict=True) if rows is None]
        if not missing:
            return [rows for rows in cached if rows is not None]
        self.encode([window for window, _ in missing])
        started_s = time.monotonic()
        projected = window_encoder.project_many(
            self._model, [(window.states, index) for window, index in missing]
        )
        cost_s = (time.monotonic() - started_s) / len(missing)
        for (window, index), rows in zip(missing, projected, strict=True):
            _put(self.embeddings, (window.key, index), rows, cost_s)
        new = iter(projected)
        return [next(new) if rows is None else rows for rows in cached]

    def _compute(self, windows: abc.Sequence[AudioWindow]) -> list[torch.Tensor]:
        started_s = time.monotonic()
        mels = self._mel([window.samples for window in windows])
        mels_ready_s = time.monotonic()
        states = window_encoder.encode(self._model, mels, self._max_batch)
        ended_s = time.monotonic()
        self._profile.mel_s += mels_ready_s - started_s
        self._profile.encode_s += ended_s - mels_ready_s
        self._profile.num_windows += len(windows)
        for window, each in zip(windows, states, strict=True):
            window.is_encoded = True
            _put(self.states, window.key, each, (ended_s - started_s) / len(windows))
        return states


def _put(
    cache: CostAwareCache[torch.Tensor], key: abc.Hashable, value: torch.Tensor, cost_s: float
) -> None:
    cache.put(key, value, size_bytes=value.numel() * value.element_size(), cost_s=cost_s)
