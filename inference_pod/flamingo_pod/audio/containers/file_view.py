"""A file as FFmpeg is to see it: without tags in front of it, or without its pictures."""

import bisect
import io
import itertools
import os
from collections.abc import Iterable

from flamingo_pod.audio.containers.patches import Piece


class FileView:
    """A file that consists of pieces of another one, which are read when they are needed."""

    def __init__(self, file: io.FileIO, pieces: Iterable[Piece]) -> None:
        self._file = file
        self._pieces = [piece for piece in pieces if len(piece)]
        self._starts = list(itertools.accumulate(map(len, self._pieces), initial=0))
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes from the position, and advance it; at the end, none."""
        data = self._read_piece(self._at, size)
        self._at += len(data)
        return data

    def _read_piece(self, at: int, size: int) -> bytes:
        """Return up to `size` bytes from an offset, at most to the end of its piece."""
        if not 0 <= at < self._starts[-1] or size == 0:
            return b""
        number = bisect.bisect_right(self._starts, at) - 1
        piece, skipped = self._pieces[number], at - self._starts[number]
        num_left = len(piece) - skipped
        num_bytes = num_left if size < 0 else min(size, num_left)
        if isinstance(piece, bytes):
            return piece[skipped : skipped + num_bytes]
        return os.pread(self._file.fileno(), num_bytes, piece.start + skipped)

    @property
    def num_bytes(self) -> int:
        """Size of the file."""
        return self._starts[-1]

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from an offset, or all up to the end; the position stays."""
        data = self._read_piece(offset, size)
        while len(data) < size and (more := self._read_piece(offset + len(data), size - len(data))):
            data += more
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._starts[-1]}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at


def file_size(file: io.FileIO) -> int:
    """Return the size of a file."""
    return os.fstat(file.fileno()).st_size


def read_at(file: io.FileIO, offset: int, size: int) -> bytes:
    """Return up to `size` bytes from an offset."""
    return os.pread(file.fileno(), size, offset)
