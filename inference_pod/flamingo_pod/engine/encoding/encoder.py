"""The audio encoder: encodes windows, projects their states to embeddings, and caches both.

Two caches, both bounded: encoder states by the window's samples, and projected embeddings by
samples and the window's place in its clip, since the time rotation (RoTE) between the two depends
on that. The caches are in the memory of the device, or in that of the host, where it would be
missed by the KV pool. No window keeps its states once they are used: those of all running clips
would take a twentieth of the pool's size.
"""

import time
from collections import abc
from typing import Any

import torch

from flamingo_pod.engine.costs.profile import EngineProfile
from flamingo_pod.engine.device.host_memory import HostMemory
from flamingo_pod.engine.device.stage_clock import StageClock
from flamingo_pod.engine.encoding.audio import AudioWindow
from flamingo_pod.engine.encoding.cache import CostAwareCache
from flamingo_pod.model import spectrum, window_encoder
from flamingo_pod.model.checkpoint import Checkpoint
from flamingo_pod.model.mel import create_log_mel


class AudioEncoder:
    """Encodes and projects windows, each at most once while its result is cached."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        profile: EngineProfile,
        clock: StageClock,
        *,
        max_cache_bytes: int,
        are_caches_on_host: bool = False,
    ) -> None:
        self._model: Any = checkpoint.model
        device = self._model.device
        self._mel = create_log_mel(
            checkpoint.processor.feature_extractor, device, spectrum.find_torchaudio(device)
        )
        # On a CPU a batch of full windows is a fifth slower than one after the other.
        self._max_batch = (
            window_encoder.MAX_BATCH_WINDOWS if self._model.device.type != "cpu" else 1
        )
        self.states: CostAwareCache[torch.Tensor] = CostAwareCache(max_cache_bytes // 2)
        """`(num_tokens, encoder width)` by window key."""
        self.embeddings: CostAwareCache[torch.Tensor] = CostAwareCache(max_cache_bytes // 2)
        """`(num_tokens, width)` by window key and place in the clip."""
        self.host = HostMemory(self._model.device)
        self._cache_host = self.host if are_caches_on_host else None
        self._profile = profile
        self._clock = clock

    def encode(self, windows: abc.Sequence[AudioWindow]) -> None:
        """Set each window's `states`, from the cache or computed together."""
        for window in windows:
            if window.states is None:
                window.states = self._cached(self.states, window.key)
        missing = {window.key: window for window in windows if window.states is None}
        if not missing:
            return
        computed = dict(zip(missing, self._compute(list(missing.values())), strict=True))
        for window in windows:
            if window.states is None:
                window.states = computed[window.key]

    def states_of(self, windows: abc.Sequence[AudioWindow]) -> list[torch.Tensor]:
        """Return each window's states, `(num_tokens, encoder width)`."""
        self.encode(windows)
        states = [window.states for window in windows]
        for window in windows:
            window.states = None
        return states

    def project(self, windows: abc.Sequence[AudioWindow]) -> list[torch.Tensor]:
        """Return the language model's input embeddings of windows at their places in a clip.

        `(num_tokens, width)` each; missing encoder states are computed.
        """
        keys = [(window.key, window.first_frame) for window in windows]
        cached = [self._cached(self.embeddings, key) for key in keys]
        missing = [window for window, rows in zip(windows, cached, strict=True) if rows is None]
        if not missing:
            return [rows for rows in cached if rows is not None]
        self.encode(missing)
        started_s = time.monotonic()
        projected = window_encoder.project_many(
            self._model, [(window.states, window.first_frame) for window in missing]
        )
        cost_s = (time.monotonic() - started_s) / len(missing)
        for window, rows in zip(missing, projected, strict=True):
            self._put(self.embeddings, (window.key, window.first_frame), rows, cost_s)
            window.states = None
        new = iter(projected)
        return [next(new) if rows is None else rows for rows in cached]

    def cache_sizes_bytes(self) -> dict[str, int]:
        """Return the size of what each cache holds."""
        return {"states": self.states.size_bytes, "embeddings": self.embeddings.size_bytes}

    def free_device_memory(self) -> bool:
        """Empty the caches, if they are on the device; return whether that has freed anything."""
        if self._cache_host is not None:
            return False
        num_bytes = sum(self.cache_sizes_bytes().values())
        self.states.clear()
        self.embeddings.clear()
        return num_bytes > 0

    def _compute(self, windows: abc.Sequence[AudioWindow]) -> list[torch.Tensor]:
        started_s = time.monotonic()
        with self._clock.stage(self._profile.add_mel):
            mels = self._mel([window.samples for window in windows])
        with self._clock.stage(self._profile.add_encode):
            states = window_encoder.encode(self._model, mels, self._max_batch)
        cost_s = (time.monotonic() - started_s) / len(windows)
        self._profile.num_windows += len(windows)
        for window, each in zip(windows, states, strict=True):
            window.is_encoded = True
            self._put(self.states, window.key, each, cost_s)
        return states

    def _cached(
        self, cache: CostAwareCache[torch.Tensor], key: abc.Hashable
    ) -> torch.Tensor | None:
        rows = cache.get(key)
        return rows if rows is None or self._cache_host is None else self._cache_host.load(rows)

    def _put(
        self,
        cache: CostAwareCache[torch.Tensor],
        key: abc.Hashable,
        rows: torch.Tensor,
        cost_s: float,
    ) -> None:
        host = self._cache_host
        size_bytes = host.size_bytes(rows) if host else rows.numel() * rows.element_size()
        if size_bytes <= cache.max_bytes:
            stored = host.store(rows) if host else rows
            cache.put(key, stored, size_bytes=size_bytes, cost_s=cost_s)
