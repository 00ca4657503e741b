"""The pod's memory budget for request bodies and clips, and each request's reservation in it.

How it works: a request reserves memory before its body is read (by its Content-Length, if it has
one), so what does not fit is rejected while it is still on the wire. The reservation grows with
the bytes that arrive. Once the clip is decoded, its file is closed and the reservation is changed
to the size of its samples, which may exceed the budget: the work is already done, and it is later
requests that are rejected. All of it is released when the request ends.

Clips that are held after their requests (`held_clips.py`) are in the same budget, in what requests
leave of it: they are freed for a request that does not fit beside them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from flamingo_common.errors import Overloaded
from flamingo_pod.audio.held_clips import HeldClips
from flamingo_pod.audio.memory_file import MemoryFile

COPIES_OF_JSON = 2
"""While it is parsed, a JSON body is in memory as bytes and as text."""
RETRY_AFTER_S = 1.0
"""About how long a body stays in memory, until it is decoded."""


@dataclass(slots=True)
class MemoryBudget:
    """The bytes that all requests together have reserved."""

    max_bytes: int
    num_bytes: int = 0
    held: HeldClips[Any] = field(default_factory=lambda: HeldClips(0, 0.0))
    """Clips that no request has reserved."""

    @contextmanager
    def reservation(self) -> "Iterator[Reservation]":
        """Yield an empty reservation for one request, and release it at the end."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            reservation.release()

    def add(self, num_bytes: int) -> None:
        """Count `num_bytes` more, or fewer if negative."""
        self.num_bytes += num_bytes
        self.free_held()

    def has_room(self, num_bytes: int) -> bool:
        """Return whether `num_bytes` more can be reserved."""
        return self.num_bytes + num_bytes <= self.max_bytes

    def free_held(self) -> None:
        """Free held clips as far as they do not fit beside what is reserved."""
        while self.num_bytes + self.held.num_bytes > self.max_bytes and self.held.evict():
            pass


@dataclass(slots=True)
class Reservation:
    """What one request has reserved: its body, the clip's file, then the clip's samples."""

    budget: MemoryBudget
    num_bytes: int = 0
    _files: list[MemoryFile] = field(default_factory=list)

    def add(self, num_bytes: int) -> None:
        """Reserve `num_bytes` more.

        Raises:
            Overloaded: they exceed the budget.
        """
        if not self.budget.has_room(num_bytes):
            raise Overloaded(
                f"the pod's memory for requests is full: {self.budget.num_bytes} of"
                f" {self.budget.max_bytes} bytes are in use, and this request needs"
                f" {num_bytes} more; retry later",
                retry_after_s=RETRY_AFTER_S,
            )
        self.add_unchecked(num_bytes)

    def add_unchecked(self, num_bytes: int) -> None:
        """Count bytes already allocated, even beyond the budget: later requests are rejected."""
        self.num_bytes += num_bytes
        self.budget.add(num_bytes)

    def new_file(self) -> MemoryFile:
        """Return a new memory file, closed at `release`."""
        return self.adopt(MemoryFile())

    def adopt(self, file: MemoryFile) -> MemoryFile:
        """Return `file`, closed at `release` from now on."""
        self._files.append(file)
        return file

    def disown(self, file: MemoryFile) -> None:
        """Leave `file` open at `release`: it has another owner."""
        self._files.remove(file)

    def move(self, file: MemoryFile) -> "Reservation":
        """Return a new reservation, which owns `file` and its size from now on."""
        self._files.remove(file)
        self.free(file.size)
        moved = Reservation(self.budget)
        moved.adopt(file)
        moved.add_unchecked(file.size)
        return moved

    def free_file(self, file: MemoryFile) -> None:
        """Close a file, which is reserved as its size."""
        self.replace_file(file, file.size, 0)

    def grow_to(self, num_bytes: int) -> None:
        """Reserve up to `num_bytes` in total; raises as `add` does."""
        if num_bytes > self.num_bytes:
            self.add(num_bytes - self.num_bytes)

    def free(self, num_bytes: int) -> None:
        """Release `num_bytes`, or as many as are reserved."""
        self.add_unchecked(-min(num_bytes, self.num_bytes))

    def replace_file(self, file: MemoryFile, num_reserved: int, num_bytes: int) -> None:
        """Close a clip's file, reserved as `num_reserved`, and count `num_bytes` of samples.

        A file that has another owner stays open.
        """
        if file in self._files:
            self._files.remove(file)
            file.close()
        self.add_unchecked(num_bytes - min(num_reserved, self.num_bytes))

    def release(self) -> None:
        """Release all of it."""
        for file in self._files:
            file.close()
        self._files.clear()
        self.add_unchecked(-self.num_bytes)


RESERVATION = web.RequestKey("reservation", Reservation)
"""A request's reservation."""
