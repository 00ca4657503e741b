"""A clip as the engine works with it: 30 s windows, each with its cache key and encoder states."""

from collections import abc
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flamingo_common.audio import windows
from flamingo_pod.engine.cache import window_key

Samples = NDArray[np.float32]
"""Mono at 16 kHz, `(samples,)`."""


@dataclass(eq=False, slots=True)
class AudioWindow:
    """At most 30 s of a clip."""

    key: bytes
    samples: Samples
    num_tokens: int
    states: Any = None
    """Encoder output `(num_tokens, encoder width)` before the time rotation, until it is used."""
    is_encoded: bool = False
    """Whether the states were computed for this clip rather than found in a cache."""


@dataclass(eq=False, slots=True)
class ClipAudio:
    """One clip."""

    windows: abc.Sequence[AudioWindow] = field(default_factory=list)

    @classmethod
    def from_samples(cls, samples: Samples, salt: bytes = b"") -> "ClipAudio":
        """Return `samples` split into windows.

        A last window too short for one audio token is dropped. `salt` goes into the cache keys:
        windows are shared only within one salt.
        """
        parts = (samples[start:stop] for start, stop in windows.spans(len(samples)))
        return cls(
            [
                AudioWindow(window_key(salt, part), part, windows.num_tokens_of_window(len(part)))
                for part in parts
            ]
        )

    def for_another_request(self) -> "ClipAudio":
        """Return the same clip without what belongs to one request: encoder states."""
        return ClipAudio(
            [replace(window, states=None, is_encoded=False) for window in self.windows]
        )

    @property
    def num_tokens(self) -> int:
        """Audio tokens of the whole clip."""
        return sum(window.num_tokens for window in self.windows)
