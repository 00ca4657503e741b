"""A clip as the engine works with it: 30 s windows, each with its cache key and encoder states."""

from collections import abc
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flamingo_common.audio import windows
from flamingo_pod.engine.encoding.cache import window_key

Samples = NDArray[np.float32]
"""Mono at 16 kHz, `(samples,)`."""


@dataclass(eq=False, slots=True)
class AudioWindow:
    """At most 30 s of a clip."""

    key: bytes
    samples: Samples
    num_tokens: int
    first_frame: int = 0
    """Its place in the clip, in frames of 40 ms."""
    states: Any = None
    """Encoder output `(num_tokens, encoder width)` before the time rotation, until it is used."""
    is_encoded: bool = False
    """Whether the states were computed for this clip rather than found in a cache."""


@dataclass(eq=False, slots=True)
class ClipAudio:
    """One clip."""

    windows: abc.Sequence[AudioWindow] = field(default_factory=list)

    @classmethod
    def from_samples(cls, samples: Samples, salt: bytes = b"", first_frame: int = 0) -> "ClipAudio":
        """Return `samples` split into windows, of a clip in which they begin at `first_frame`.

        A last window too short for one audio token is dropped. `salt` goes into the cache keys:
        windows are shared only within one salt.
        """
        found = []
        for start, stop in windows.spans(len(samples), first_frame):
            part, at = samples[start:stop], first_frame + start // windows.SAMPLES_PER_FRAME
            num_tokens = windows.num_tokens_of_window(len(part))
            found.append(AudioWindow(window_key(salt, part), part, num_tokens, at))
        return cls(found)

    @property
    def first_frame(self) -> int:
        """Where it begins, in frames of the whole clip."""
        return self.windows[0].first_frame if self.windows else 0

    def for_another_request(self) -> "ClipAudio":
        """Return the same clip without what belongs to one request: encoder states."""
        return ClipAudio(
            [replace(window, states=None, is_encoded=False) for window in self.windows]
        )

    @property
    def num_tokens(self) -> int:
        """Audio tokens of the whole clip."""
        return sum(window.num_tokens for window in self.windows)
