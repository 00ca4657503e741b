"""How many bytes of bodies and clips a pod holds, and how many it may.

A request counts before its body is read: what would not fit is refused while
it is still on the wire.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web

from flamingo_common.errors import Overloaded
from flamingo_pod.audio.memory_file import MemoryFile

COPIES_OF_JSON = 2
"""While it is parsed, a JSON body is there as bytes and as text."""
RETRY_S = 1.0
"""Bodies leave when they are decoded, which takes about so long."""


@dataclass(slots=True)
class MemoryBudget:
    """What all requests together hold."""

    max_bytes: int
    num_bytes: int = 0

    @contextmanager
    def request(self) -> "Iterator[Reservation]":
        """Yield what one request holds, and let it all go at the end."""
        holding = Reservation(self)
        try:
            yield holding
        finally:
            holding.release()

    def add(self, num_bytes: int) -> None:
        """Count `num_bytes` more, or fewer."""
        self.num_bytes += num_bytes


@dataclass(slots=True)
class Reservation:
    """What one request holds: its body, the clip's bytes, then the clip's samples."""

    total: MemoryBudget
    num_bytes: int = 0
    _files: list[MemoryFile] = field(default_factory=list)

    def reserve(self, num_bytes: int) -> None:
        """Count `num_bytes` more.

        Raises:
            Overloaded: the pod would hold too much.
        """
        if self.total.num_bytes + num_bytes > self.total.max_bytes:
            raise Overloaded(
                f"this pod holds {self.total.num_bytes} bytes of audio, and {num_bytes} more are "
                f"over its limit of {self.total.max_bytes}",
                retry_after_s=RETRY_S,
            )
        self.keep(num_bytes)

    def keep(self, num_bytes: int) -> None:
        """Count what is there already, whatever the limit: later requests will meet it."""
        self.num_bytes += num_bytes
        self.total.add(num_bytes)

    def file(self) -> MemoryFile:
        """Return a new memory file, closed at `release`."""
        file = MemoryFile()
        self._files.append(file)
        return file

    def reach(self, num_bytes: int) -> None:
        """Count what `num_bytes` are more than is counted yet; raises as `reserve` does."""
        if num_bytes > self.num_bytes:
            self.reserve(num_bytes - self.num_bytes)

    def swap(self, file: MemoryFile, num_counted: int, num_bytes: int) -> None:
        """Let go of a clip's file, for which `num_counted` were, and count its samples."""
        file.close()
        self.keep(num_bytes - min(num_counted, self.num_bytes))

    def release(self) -> None:
        """Let go of everything."""
        for file in self._files:
            file.close()
        self._files.clear()
        self.keep(-self.num_bytes)


RESERVATION = web.RequestKey("holding", Reservation)
"""What a request holds."""
