"""Rows of Parquet. Clips in it are not read with the rows, but by row group, when they are needed.

A column of clips is what Hugging Face writes, `struct<bytes: binary, path: string>`, or binary.
"""

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, BinaryIO

from flamingo.batch import extras
from flamingo.batch.manifest_lines import LOCATION_FIELDS
from flamingo.batch.sources.rows import Row
from flamingo_common.errors import BadRequest

NUM_ROWS_READ = 1024
"""At once."""
BUFFER_BYTES = 2**20
MAX_GROUP_BYTES = 2**30
"""Of the clips in one row group, which are in memory together. Hugging Face writes 0.1 GB."""
MAX_GROUPS_IN_MEMORY = 2
"""Items are processed in the order of the rows, so concurrent ones are in one group or two."""
_TO = "to read Parquet"


class ParquetTable:
    """A Parquet file. Its methods may be called by one thread at a time."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Open `file`, whose name is for messages.

        Raises:
            BadRequest: it is not Parquet, or a row group has too many bytes of clips.
        """
        self._arrow = extras.load("pyarrow", to=_TO)
        parquet = extras.load("pyarrow.parquet", to=_TO)
        try:
            self._file = parquet.ParquetFile(file, buffer_size=BUFFER_BYTES)
        except (self._arrow.ArrowException, OSError) as error:
            raise BadRequest(f"{name} is not a valid Parquet file: {error}") from None
        self.columns: list[str] = self._file.schema_arrow.names
        self.clip_columns = [one for one in self.columns if self._has_clips(one)]
        groups = (self._file.metadata.row_group(at) for at in range(self._file.num_row_groups))
        self._ends = list(accumulate(group.num_rows for group in groups))
        self._name = name

    def clip_column(self, chosen: str | None) -> str | None:
        """Return the column with the contents of clips, if that is what the table has."""
        if chosen is not None:
            return chosen if chosen in self.clip_columns else None
        by_name = (one for one in LOCATION_FIELDS if one in self.clip_columns)
        return next(by_name, next(iter(self.clip_columns), None))

    def rows(self) -> Iterator[Row]:
        """Yield the rows in order, without binary values."""
        columns = [one for one in self.columns if one not in self.clip_columns]
        columns += [f"{one}.path" for one in self.clip_columns if self._has_path(one)]
        if not columns:
            yield from (Row(at + 1, {}) for at in range(self._file.metadata.num_rows))
            return
        number = 0
        for batch in self._file.iter_batches(NUM_ROWS_READ, columns=columns):
            for values in batch.to_pylist():
                number += 1
                yield Row(number, values)

    def clips(self, group: int, column: str) -> Any:
        """Return the clips of one row group as an Arrow array."""
        return self._file.read_row_group(group, columns=[column]).column(column)

    def place(self, number: int) -> tuple[int, int]:
        """Return the row group of a row, and its index there."""
        group = bisect_right(self._ends, number - 1)
        start = self._ends[group - 1] if group else 0
        return group, number - 1 - start

    def check_groups(self, column: str) -> None:
        """Refuse a file that cannot be read with bounded memory.

        Raises:
            BadRequest: a row group has too many bytes of clips.
        """
        for at in range(self._file.num_row_groups):
            group = self._file.metadata.row_group(at)
            chunks = (group.column(index) for index in range(group.num_columns))
            num_bytes = sum(
                chunk.total_uncompressed_size
                for chunk in chunks
                if chunk.path_in_schema.partition(".")[0] == column
            )
            if num_bytes > MAX_GROUP_BYTES:
                raise BadRequest(
                    f"{self._name}: row group {at} has {num_bytes / 2**30:.1f} GiB of clips; the "
                    f"limit is {MAX_GROUP_BYTES / 2**30:.0f} GiB. Write it with fewer rows in a "
                    "group (row_group_size)"
                )

    def _has_path(self, column: str) -> bool:
        type_ = self._file.schema_arrow.field(column).type
        return bool(self._arrow.types.is_struct(type_)) and type_.get_field_index("path") >= 0

    def _has_clips(self, column: str) -> bool:
        types = self._arrow.types
        type_ = self._file.schema_arrow.field(column).type
        if types.is_struct(type_):
            names = [type_.field(at).name for at in range(type_.num_fields)]
            return "bytes" in names and _is_binary(types, type_.field("bytes").type)
        return _is_binary(types, type_)


def _is_binary(types: Any, type_: Any) -> bool:
    return bool(
        types.is_binary(type_) or types.is_large_binary(type_) or types.is_fixed_size_binary(type_)
    )


class RowGroups:
    """The row groups of clips that were read last. For any number of threads."""

    def __init__(self, read: Callable[[str, int], Any]) -> None:
        """Take what returns the clips of a row group, given the table's name."""
        self._read = read
        self._lock = threading.Lock()
        self._groups: OrderedDict[tuple[str, int], Any] = OrderedDict()

    def value(self, table: str, group: int, index: int) -> Any:
        """Return the value of a row: bytes, a dict with `bytes` and `path`, or None."""
        key = table, group
        with self._lock:
            if key not in self._groups:
                while len(self._groups) >= MAX_GROUPS_IN_MEMORY:
                    self._groups.popitem(last=False)
                self._groups[key] = self._read(table, group)
            self._groups.move_to_end(key)
            return self._groups[key][index].as_py()
