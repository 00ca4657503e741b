"""Outcomes as JSON lines in a file that only grows, with embeddings as `.npy` files beside it."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from flamingo.batch import notices
from flamingo.batch.notices import Notify
from flamingo.batch.outcomes import Outcome, RecordedItem
from flamingo.batch.outputs.npy_files import NpyFiles
from flamingo.batch.records import record, recorded_item
from flamingo_common.errors import BadRequest
from flamingo_common.service import disk_sync, printable

MAX_TAIL_BYTES = 2**20
"""Read at once, to look for the end of the last whole line."""


class JsonlOutput:
    """A `.jsonl` file with one line for each finished item.

    Lines are appended and then synced to the disk. A line is valid once its line break is there:
    what a killed run left after the last one is cut off by the next run.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        embeddings: str | os.PathLike[str] | None = None,
        notify: Notify = notices.log,
    ) -> None:
        """`embeddings` is the folder for `.npy` files; the default is the file's own.

        Lines have the paths of these files relative to the folder of the JSONL file.
        """
        self.path = Path(path)
        folder = self.path.parent if embeddings is None else Path(embeddings)
        self._embeddings = NpyFiles(folder)
        self._prefix = os.path.relpath(folder, self.path.parent)
        self._notify = notify
        self._file: BinaryIO | None = None
        self._size_bytes = 0

    def recorded_items(self, *, repair: bool = True) -> Iterator[RecordedItem]:
        """Yield the items of all lines, after cutting off what a killed run left incomplete.

        Raises:
            BadRequest: a line was not written by a batch.
        """
        if repair:
            self._cut_torn_line(self._open())
        elif not self.path.exists():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield _item(line, f"{printable.escape_line(str(self.path))}:{number}")

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Write one line for each outcome, and sync them to the disk.

        Raises:
            OSError: they cannot be written; the file is as before.
        """
        file = self._open()
        try:
            lines = b"".join(self._line(outcome) for outcome in outcomes)
            self._embeddings.sync()
            _write(file, lines)
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # the next run cuts off what is left
                os.ftruncate(file.fileno(), self._size_bytes)
            raise
        self._size_bytes += len(lines)

    def forget_failed(self) -> None:
        """Write the file anew without its errors; see `Output`."""
        self.close()
        written = self.path.with_name(f".{self.path.name}.new")
        with self.path.open("rb") as old, written.open("wb") as new:
            new.writelines(line for line in old if json.loads(line).get("error") is None)
            new.flush()
            os.fsync(new.fileno())
        written.replace(self.path)
        disk_sync.sync(self.path.parent)

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _line(self, outcome: Outcome) -> bytes:
        name = None
        if outcome.result is not None and outcome.result.embedding is not None:
            written = self._embeddings.write(outcome.key, outcome.result.embedding)
            name = os.path.normpath(f"{self._prefix}/{written}")
        return json.dumps(record(outcome, embedding_file=name)).encode() + b"\n"

    def _open(self) -> BinaryIO:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b", buffering=0)
            self._size_bytes = os.fstat(self._file.fileno()).st_size
            disk_sync.sync(self.path.parent)
        return self._file

    def _cut_torn_line(self, file: BinaryIO) -> None:
        end = _end_of_last_line(file.fileno(), self._size_bytes)
        if end == self._size_bytes:
            return
        os.ftruncate(file.fileno(), end)
        os.fsync(file.fileno())
        self._notify(
            f"{printable.escape_line(str(self.path))}: cut off {self._size_bytes - end} bytes of an"
            " incomplete last line, which an earlier run was writing when it ended"
        )
        self._size_bytes = end


def _end_of_last_line(descriptor: int, size_bytes: int) -> int:
    """Return the offset after the last line break; 0 if the file has none."""
    end = size_bytes
    while end > 0:
        start = max(0, end - MAX_TAIL_BYTES)
        at = os.pread(descriptor, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def _item(line: bytes, place: str) -> RecordedItem:
    try:
        return recorded_item(json.loads(line))
    except ValueError:
        raise BadRequest(
            f"{place} was not written by a batch: it is not a JSON object with a `key`; move the"
            " file away, or write to another one"
        ) from None


def _write(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
