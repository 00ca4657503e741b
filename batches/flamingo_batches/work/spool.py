"""The input file of a batch on this machine, as an unnamed temporary file."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import Self

from flamingo_batches.records import PlannedLine


class InputSpool:
    """An input file whose lines are read by their places."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    async def fill(self, parts: AsyncIterator[bytes]) -> None:
        """Write the file."""
        async for part in parts:
            self._file.write(part)
        self._file.flush()

    def lines(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield each line that is not blank, with its number from 1 and its first byte."""
        self._file.seek(0)
        start = 0
        for number, line in enumerate(self._file, start=1):
            if line.strip():
                yield line, number, start
            start += len(line)

    def read(self, line: PlannedLine) -> bytes:
        """Return one line."""
        return os.pread(self._file.fileno(), line.num_bytes, line.start)
