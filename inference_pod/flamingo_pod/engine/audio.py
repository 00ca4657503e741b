"""A clip as the engine holds it: its windows, each with its key and, once computed, its states."""

from collections import abc
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flamingo_common.audio import windows
from flamingo_pod.engine.cache import window_key

Samples = NDArray[np.float32]


@dataclass(eq=False, slots=True)
class AudioWindow:
    """At most 30 s of a clip."""

    key: bytes
    samples: Samples
    num_tokens: int
    states: Any = None
    """`(num_tokens, encoder width)` before the time rotation, as long as the clip is held."""
    is_encoded: bool = False
    """Whether they were computed for this clip, not found in a cache."""


@dataclass(eq=False, slots=True)
class ClipAudio:
    """One clip; whoever holds it keeps its states, so that nothing is encoded twice."""

    windows: abc.Sequence[AudioWindow] = field(default_factory=list)

    @classmethod
    def from_samples(cls, samples: Samples, salt: bytes = b"") -> "ClipAudio":
        """Return mono 16 kHz float32 `samples` cut into windows; a tail without a token goes."""
        parts = (samples[start:stop] for start, stop in windows.spans(len(samples)))
        return cls(
            [
                AudioWindow(window_key(salt, part), part, windows.num_tokens_of_window(len(part)))
                for part in parts
            ]
        )

    @property
    def num_tokens(self) -> int:
        """All the clip's audio tokens."""
        return sum(window.num_tokens for window in self.windows)
