"""The spool: large request bodies on disk, so that they can be retried.

Its files have no name, so a crash leaves nothing behind. They are written a megabyte at a
time, off the event loop. Their total size is limited; a request that does not fit is not
retried.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, TypeVar

from flamingo_common.service import uninterrupted

T = TypeVar("T")


class Spool:
    """A directory with a size limit; without a directory nothing is kept."""

    def __init__(self, directory: str, max_bytes: int) -> None:
        self.num_bytes = 0
        """Bytes in use."""
        self._directory = directory
        self._max_bytes = max_bytes if directory else 0

    def try_reserve(self, num_bytes: int) -> bool:
        """Reserve space, if there is enough; return whether there was."""
        if self.num_bytes + num_bytes > self._max_bytes:
            return False
        self.num_bytes += num_bytes
        return True

    def release(self, num_bytes: int) -> None:
        """Release reserved space."""
        self.num_bytes -= num_bytes

    def open_file(self) -> IO[bytes]:
        """Return a new file without a name."""
        return tempfile.TemporaryFile(dir=self._directory, buffering=0)


class SpooledChunks:
    """The first chunks of one body, on disk."""

    def __init__(self, spool: Spool) -> None:
        self.is_closed = False
        self._spool = spool
        self._file: IO[bytes] | None = None
        self._ends = [0]
        """Where each chunk ends."""

    @property
    def num_chunks(self) -> int:
        """How many chunks there are."""
        return len(self._ends) - 1

    async def append(self, chunks: Sequence[bytes]) -> bool:
        """Append chunks; return False if there is no space for them."""
        num_bytes = sum(map(len, chunks))
        if self.is_closed or not self._spool.try_reserve(num_bytes):
            return False
        for chunk in chunks:
            self._ends.append(self._ends[-1] + len(chunk))
        try:
            await _in_thread(self._write, b"".join(chunks))
        except OSError:  # the disk is full: the body is relayed, and not retried
            self.close()
            return False
        finally:
            if self.is_closed:  # meanwhile; the file may have been opened after that
                self._close_file()
        return True

    async def read(self, number: int) -> bytes:
        """Return one chunk."""
        start, end = self._ends[number : number + 2]
        return await _in_thread(self._read, start, end - start)

    def close(self) -> None:
        """Delete the chunks and release their space."""
        if self.is_closed:
            return
        self.is_closed = True
        self._spool.release(self._ends[-1])
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = self._spool.open_file()
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def _read(self, start: int, num_bytes: int) -> bytes:
        assert self._file is not None
        self._file.seek(start)
        data = self._file.read(num_bytes)
        self._file.seek(0, 2)
        return data


async def _in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Return what a function returns that uses the file: to its end, before that is closed."""
    loop = asyncio.get_running_loop()
    return await uninterrupted.result_of(loop.run_in_executor(None, function, *arguments))
