"""A file in memory that this process's workers can open, to share bytes without a copy.

Sent through a pipe, a clip of 200 MB would be in memory three times. A memory file is written
while the body arrives, and a worker is sent only its address, a few dozen bytes.
"""

import asyncio
import hashlib
import io
import mmap
import os
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from flamingo_common.service import uninterrupted

HASHED_BYTES = 2**20


class MemoryFileClosed(Exception):
    """The file was closed before the worker opened it, since its request was cancelled."""


@dataclass(frozen=True, slots=True)
class MemoryFileAddress:
    """Where a memory file can be opened by another process of the same user."""

    path: str
    inode: int

    def open(self, mode: Literal["rb", "wb"]) -> io.FileIO:
        """Open the file.

        Raises:
            MemoryFileClosed: it was closed; its descriptor's number may be another file's by now.
        """
        flags = os.O_RDONLY if mode == "rb" else os.O_WRONLY
        try:
            descriptor = os.open(self.path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            raise MemoryFileClosed from None
        if os.fstat(descriptor).st_ino != self.inode:
            os.close(descriptor)
            raise MemoryFileClosed
        return io.FileIO(descriptor, mode)


class MemoryFile:
    """Bytes in memory, freed once it is closed and no worker has it open."""

    def __init__(self, descriptor: int | None = None, size: int = 0) -> None:
        """Create an empty file, or one that owns the descriptor of a file of `size` bytes."""
        number = os.memfd_create("clip") if descriptor is None else descriptor
        self._file = io.FileIO(number, "r+")
        self.size = size

    @property
    def address(self) -> MemoryFileAddress:
        """The address for a worker to open."""
        number = self._file.fileno()
        return MemoryFileAddress(f"/proc/{os.getpid()}/fd/{number}", os.fstat(number).st_ino)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`."""
        remaining = memoryview(data)
        while remaining:
            remaining = remaining[self._file.write(remaining) :]
        self.size += len(data)

    def duplicate(self) -> "MemoryFile":
        """Return the same bytes under a descriptor of its own: they are freed once all are closed.

        To be read only: the position is shared.
        """
        return MemoryFile(os.dup(self._file.fileno()), self.size)

    def read_and_close(self) -> bytes:
        """Return all that was written, and close the file."""
        self._file.seek(0)
        data = self._file.readall()
        self.close()
        return data

    async def digest(self) -> bytes:
        """Return a hash of what was written."""
        digesting = asyncio.get_running_loop().run_in_executor(None, self._digest)
        return await uninterrupted.result_of(digesting)  # or it would read a file that is closed

    def _digest(self) -> bytes:
        digest = hashlib.blake2b(digest_size=32)
        for at in range(0, self.size, HASHED_BYTES):
            digest.update(os.pread(self._file.fileno(), HASHED_BYTES, at))
        return digest.digest()

    def as_float32(self) -> NDArray[np.float32]:
        """Return what a worker wrote as an array of float32, which outlives the file."""
        num_bytes = os.fstat(self._file.fileno()).st_size
        if not num_bytes:
            return np.zeros(0, np.float32)
        # A private mapping: a caller that changes a sample changes only its own copy.
        pages = mmap.mmap(self._file.fileno(), num_bytes, flags=mmap.MAP_PRIVATE)
        return np.frombuffer(pages, np.float32)

    def close(self) -> None:
        """Free the bytes."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
