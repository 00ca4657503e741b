"""The scan of a body's first bytes for the audio in it.

Pure.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from flamingo_common.audio import probe

MAX_HEAD_BYTES = 256 * 1024
"""How far into a body a scan searches for audio: past the longest text that a request can have."""
SAMPLE_BYTES = probe.HEAD_BYTES


@dataclass(frozen=True, slots=True)
class Sample:
    """The first bytes of an audio file, and its size; None while that is unknown."""

    head: bytes
    total_bytes: int | None


class Scan(Protocol):
    """Takes chunks of a body as they arrive, and finds the first audio file in it."""

    @property
    def is_done(self) -> bool:
        """Whether further bytes would not change the result."""

    @property
    def sample(self) -> Sample | None:
        """The audio; None when none was found."""

    @property
    def has_url(self) -> bool:
        """Whether the audio is given by URL."""

    @property
    def url(self) -> str | None:
        """That URL; None also when it is too long."""

    @property
    def clip_id(self) -> str | None:
        """The first id of a clip; None when none was found before the audio."""

    @property
    def is_by_id(self) -> bool:
        """Whether the id is all that the body has of its audio."""

    @property
    def field(self) -> str:
        """Where the audio or the id is in the request, as a pod names it in errors."""

    @property
    def head(self) -> bytes | bytearray:
        """The body's first bytes."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""


class HeadScan(ABC):
    """A scan that keeps a body's first bytes and parses them step by step."""

    has_url: bool

    def __init__(self, total_bytes: int | None) -> None:
        self.is_done = False
        self.clip_id: str | None = None
        self.sample: Sample | None = None
        self.url: str | None = None
        self.field = ""
        self._total_bytes = total_bytes
        self._body = bytearray()
        self._at = 0
        """Everything before is parsed."""

    @property
    def is_by_id(self) -> bool:
        """Whether the id is all that the body has of its audio."""
        return self.clip_id is not None and self.sample is None and not self.has_url

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
        """Parse a little more; return False when that needs more bytes."""


class NoScan:
    """The scan of a body that cannot contain audio."""

    is_done = True
    sample = None
    url = None
    clip_id = None
    field = ""
    is_by_id = False
    has_url = False
    head = b""

    def feed(self, chunk: bytes) -> None:
        """Ignore the bytes."""
