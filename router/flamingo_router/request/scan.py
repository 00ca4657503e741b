"""What a scan of a body's first bytes looks for.

Pure.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from flamingo_common.audio import probe

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

    @property
    def url(self) -> str | None:
        """Where that is; None also when it is too long to look at."""

    @property
    def head(self) -> bytes | bytearray:
        """The body's first bytes."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""


class HeadScan(ABC):
    """A scan that keeps a body's first bytes and understands them step by step."""

    def __init__(self, total_bytes: int | None) -> None:
        self.is_done = False
        self.sample: Sample | None = None
        self.url: str | None = None
        self._total_bytes = total_bytes
        self._body = bytearray()
        self._at = 0
        """All before is understood."""

    @property
    def head(self) -> bytes | bytearray:
        """The body's first bytes."""
        return self._body

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._body += chunk[: MAX_HEAD_BYTES - len(self._body)]
        while not self.is_done and self._step():
            pass
        if len(self._body) >= MAX_HEAD_BYTES:
            self.is_done = True

    @abstractmethod
    def _step(self) -> bool:
        """Understand a little more; False when that needs more bytes."""


class NoScan:
    """The scan of a body that can hold no audio."""

    is_done = True
    sample = None
    url = None
    has_url = False
    head = b""

    def feed(self, chunk: bytes) -> None:
        """Take nothing."""
