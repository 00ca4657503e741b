"""An output in parts: files that are written as a whole, for formats and places without appending.

How it survives a kill. `append` first writes an entry of the journal, one file; when that is there,
the outcomes are recorded. When the rows of all entries make a part, the part is written, and then
its journal is removed. A run that finds a part and its journal was ended between the two: the part
has all of it, and the journal is removed. Each entry is created only once, so a second run that
writes to the same shard at the same time fails instead of losing rows.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from flamingo.batch import records
from flamingo.batch.outcomes import Outcome, RecordedItem
from flamingo.batch.outputs import journal_lines, part_names
from flamingo.batch.outputs.journal_lines import OutputRow
from flamingo.batch.outputs.part_names import Part
from flamingo.batch.storage import storage as storages
from flamingo.batch.storage.storage import Storage
from flamingo_common.errors import BadRequest

MAX_ROWS = 4096
MAX_BYTES = 64 * 2**20
"""Of a part in memory."""
MAX_REQUESTS = 16
"""At once, when a part is completed."""


class PartFormat(Protocol):
    """How a part is written, and what is read of it."""

    suffix: str
    """Of the file that makes a part complete."""

    def files(self, part: Part, rows: Sequence[OutputRow]) -> Iterator[tuple[str, bytes]]:
        """Yield the names and the contents of a part's files; the last one makes it complete."""

    def items(self, storage: Storage, name: str) -> Iterator[RecordedItem]:
        """Yield the items in a part.

        Raises:
            BadRequest: the file was not written by this format.
        """

    def without_failed(self, storage: Storage, name: str) -> bytes | None:
        """Return the contents of a part without its errors; None if it has none."""


class PartsOutput:
    """The parts of one shard in a folder or bucket."""

    def __init__(self, storage: Storage, format_: PartFormat, first: Part) -> None:
        """Write to `storage`; `first` is the first part that can be there, of the shard's."""
        self._storage = storage
        self._format = format_
        self._next = first
        self._num_entries = 0
        self._rows: list[OutputRow] = []
        self._num_bytes = 0

    def recorded_items(self, *, repair: bool = True) -> Iterator[RecordedItem]:
        """Yield the items of all parts and of the journal; see `Output`."""
        self._num_entries, self._rows, self._num_bytes = 0, [], 0
        parts = sorted(self._parts())
        for part in parts:
            yield from self._format.items(self._storage, part.stem + self._format.suffix)
        self._next = parts[-1].next() if parts else self._next
        self._read_journal(repair=repair)
        yield from (records.recorded_item(row.fields) for row in self._rows)

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes; see `Output`."""
        rows = [journal_lines.output_row(one) for one in outcomes]
        self._storage.create(self._next.entry(self._num_entries), journal_lines.encode(rows))
        self._num_entries += 1
        self._keep(rows)
        if len(self._rows) >= MAX_ROWS or self._num_bytes >= MAX_BYTES:
            self._complete_part()

    def close(self) -> None:
        """Complete the last part; idempotent."""
        if self._rows:
            self._complete_part()

    def forget_failed(self) -> None:
        """Remove all errors; see `Output`."""
        self.close()
        for part in sorted(self._parts()):
            name = part.stem + self._format.suffix
            content = self._format.without_failed(self._storage, name)
            if content is not None:
                self._storage.write(name, content)

    def _keep(self, rows: Sequence[OutputRow]) -> None:
        self._rows += rows
        self._num_bytes += sum(row.num_bytes for row in rows)

    def _complete_part(self) -> None:
        *others, last = self._format.files(self._next, self._rows)
        with ThreadPoolExecutor(MAX_REQUESTS) as pool:  # in a bucket each takes a round trip
            list(pool.map(lambda file: self._storage.write(*file), others))
            self._storage.write(*last)
            entries = [self._next.entry(number) for number in range(self._num_entries)]
            list(pool.map(self._storage.remove, entries))
        self._next = self._next.next()
        self._num_entries, self._rows, self._num_bytes = 0, [], 0

    def _parts(self) -> Iterator[Part]:
        for file in self._storage.walk():
            part = part_names.parse_part(file.name, self._format.suffix)
            if part is not None and part.shard == self._next.shard:
                yield part

    def _read_journal(self, *, repair: bool) -> None:
        for name, part, number in sorted(self._entries()):
            if part < self._next:  # the part is complete: a run was killed before it removed this
                if repair:
                    self._storage.remove(name)
                continue
            self._keep(self._parse(name))
            self._num_entries = number + 1

    def _entries(self) -> Iterator[tuple[str, Part, int]]:
        for file in self._storage.walk(part_names.HIDDEN):
            found = part_names.parse_entry(file.name)
            if found is not None and found[0].shard == self._next.shard:
                yield file.name, *found

    def _parse(self, name: str) -> list[OutputRow]:
        with self._storage.open(name) as file:
            content = file.read()
        try:
            return list(journal_lines.parse(content))
        except (ValueError, KeyError, TypeError):
            where = storages.join(self._storage.location, name)
            raise BadRequest(f"{where} is not an entry of a journal; move it away") from None
