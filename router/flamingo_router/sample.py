"""What a scan of a body's first bytes looks for.

Pure.
"""

from dataclasses import dataclass
from typing import Protocol

from flamingo.audio import probe

MAX_HEAD_BYTES = 256 * 1024
"""How far into a body a scan looks for the audio: past the longest text a request may hold."""
SAMPLE_BYTES = probe.HEAD_BYTES


@dataclass(frozen=True, slots=True)
class Sample:
    """The first bytes of an audio file, and how many it has; None while that is unknown."""

    head: bytes
    total_bytes: int | None


class Scan(Protocol):
    """Chunks of a body, as they arrive → the first audio file in it."""

    @property
    def is_done(self) -> bool:
        """Whether more bytes would say no more."""

    @property
    def sample(self) -> Sample | None:
        """The audio; None when none was seen."""

    @property
    def has_url(self) -> bool:
        """Whether the audio is somewhere else."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""


class NoScan:
    """The scan of a body that can hold no audio."""

    is_done = True
    sample = None
    has_url = False

    def feed(self, chunk: bytes) -> None:
        """Take nothing."""
