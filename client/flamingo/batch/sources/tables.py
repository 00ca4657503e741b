"""Tables that name clips, or contain them: JSON Lines, CSV, Parquet, and AudioFolder's metadata."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from flamingo.batch.items import Entry, Item
from flamingo.batch.source import ClipAudio
from flamingo.batch.sources import jsonl_rows, kinds, rows
from flamingo.batch.sources.clips import Clips
from flamingo.batch.sources.csv_rows import CsvTable
from flamingo.batch.sources.kinds import Kind
from flamingo.batch.sources.parquet_rows import ParquetTable, RowGroups
from flamingo.batch.sources.rows import RowRules
from flamingo.batch.storage.folder import FolderStorage
from flamingo.batch.storage.storage import Storage
from flamingo_common.errors import BadRequest, InvalidAudio
from flamingo_common.service import printable

SAMPLE_BYTES = 2**20
"""Of the beginning and the end of a table that is large or far: they tell a changed one, too."""
_ROW = re.compile(r"^(?P<table>.*)#group=(?P<group>\d+)&row=(?P<index>\d+)$", re.DOTALL)


@dataclass(frozen=True)
class TableOptions:
    """How tables are read."""

    kind: Kind | None = None
    """How each file is read; None, and for AudioFolder: as its suffix says."""
    column: str | None = None
    """Which one names or contains the clips; None: the usual names are tried."""
    is_dataset: bool = False
    """Whether they are AudioFolder's metadata."""


class TableSource:
    """The rows of tables, in order."""

    def __init__(self, storage: Storage, tables: Sequence[str], options: TableOptions) -> None:
        self._storage = storage
        self._tables = tables
        self._options = options
        self._clips = Clips(storage)
        self._row_groups = RowGroups(self._read_group)

    def items(self) -> Iterator[Entry]:
        """Yield an item for each row; see `Source`."""
        for name in self._tables:
            with self._storage.open(name) as file:
                yield from self._entries(name, file)

    def fingerprint(self) -> str:
        """Return a hash of the tables' names and contents.

        Of a Parquet file, which may contain the clips, and of one that is not on this machine, the
        size, the beginning and the end count.
        """
        digest = hashlib.sha256()
        for name in self._tables:
            is_text = kinds.of_table(name, self._options.kind) is not Kind.PARQUET
            is_local = isinstance(self._storage, FolderStorage)
            with self._storage.open(name) as file:
                content = _hash(file) if is_text and is_local else _sample(file)
            digest.update(f"{name}\n{content}\n".encode("utf-8", "surrogateescape"))
        more = f" and {len(self._tables) - 1} others" if len(self._tables) > 1 else ""
        return f"{self._tables[0]}{more} sha256:{digest.hexdigest()}"

    def audio(self, item: Item) -> ClipAudio:
        """Return the clip that a row names or contains; see `Source`."""
        match = _ROW.match(item.location)
        if match is None:
            return self._clips.audio(item.location)
        value = self._row_groups.value(match["table"], int(match["group"]), int(match["index"]))
        content = value.get("bytes") if isinstance(value, dict) else value
        if content is None:
            shown = printable.escape_line(item.key)
            raise InvalidAudio(f"{shown}: the row has no bytes of a clip", param="file")
        return bytes(content)

    def _read_group(self, name: str, group: int) -> Any:
        with self._storage.open(name) as file:
            table = ParquetTable(file, name)
            column = table.clip_column(self._options.column)
            assert column is not None, "it was chosen when the rows were listed"
            return table.clips(group, column)

    def _entries(self, name: str, file: BinaryIO) -> Iterator[Entry]:
        rules = RowRules(
            name,
            self._options.column,
            is_dataset=self._options.is_dataset,
            is_local=isinstance(self._storage, FolderStorage),
        )
        match kinds.of_table(name, self._options.kind):
            case Kind.PARQUET:
                yield from _parquet_entries(ParquetTable(file, name), rules)
            case Kind.CSV:
                table = CsvTable(file)
                chosen = _checked_column(table.columns, rules)
                for row in table.rows():
                    yield rows.entry(row, replace(rules, column=chosen, has_only_text=True))
            case _:
                for row in jsonl_rows.read_rows(file):
                    yield rows.entry(row, rules)


def _parquet_entries(table: ParquetTable, rules: RowRules) -> Iterator[Entry]:
    contained = None if rules.is_dataset else table.clip_column(rules.column)
    if contained is None:
        chosen = _checked_column(table.columns, rules)
        for row in table.rows():
            yield rows.entry(row, replace(rules, column=chosen))
        return
    table.check_groups(contained)
    for row in table.rows():
        values = {name: _path(value) for name, value in row.values.items()}
        group, index = table.place(row.number)
        where = f"{rules.table}#group={group}&row={index}"
        yield rows.item(replace(row, values=values), rules.key(row.number), where)


def _path(value: Any) -> Any:
    """Return the path of a clip, which is all that was read of its struct."""
    return value["path"] if isinstance(value, dict) and value.keys() == {"path"} else value


def _checked_column(columns: Sequence[str], rules: RowRules) -> str:
    chosen = rows.clip_column(columns, "file_name" if rules.is_dataset else rules.column)
    if chosen is None:
        raise BadRequest(rows.no_clip_column(rules.table, columns, rules.column))
    return chosen


def _hash(file: BinaryIO) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _sample(file: BinaryIO) -> str:
    head = file.read(SAMPLE_BYTES)
    size_bytes = file.seek(0, 2)
    file.seek(max(0, size_bytes - SAMPLE_BYTES))
    return f"{size_bytes} {hashlib.sha256(head + file.read(SAMPLE_BYTES)).hexdigest()}"
