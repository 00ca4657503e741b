"""Parts in Parquet, and one Parquet file of all parts."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flamingo.batch import extras, records
from flamingo.batch.answer_forms import Shape
from flamingo.batch.outcomes import Outcome, RecordedItem
from flamingo.batch.outputs import not_utf8
from flamingo.batch.outputs.journal_lines import OutputRow
from flamingo.batch.outputs.parquet_columns import JSON_SHAPES, ParquetColumns
from flamingo.batch.outputs.part_names import Part
from flamingo.batch.outputs.parts import PartsOutput
from flamingo.batch.storage import storage as storages
from flamingo.batch.storage.folder import FolderStorage
from flamingo.batch.storage.storage import Storage
from flamingo_common.errors import BadRequest
from flamingo_common.service import disk_sync

COMPRESSION = "zstd"
NUM_MERGED = b"flamingo.num_merged_parts"
"""In the metadata of a file of all parts: which of them it has."""


class ParquetParts:
    """Parts as Parquet files of one row group, all with one schema."""

    suffix = ".parquet"

    def __init__(self, results: Sequence[str], shapes: Mapping[str, Shape] = JSON_SHAPES) -> None:
        """Take the names of the results that the task computes, and of some of them the shapes.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        self._arrow = extras.load("pyarrow", to="to write Parquet")
        self._parquet = extras.load("pyarrow.parquet", to="to write Parquet")
        self.columns = ParquetColumns(results, shapes)

    def files(self, part: Part, rows: Sequence[OutputRow]) -> Iterator[tuple[str, bytes]]:
        """Yield the file of a part; see `PartFormat`."""
        yield part.stem + self.suffix, self._encode(self.columns.table(rows))

    def items(self, storage: Storage, name: str) -> Iterator[RecordedItem]:
        """Yield the items in a part; see `PartFormat`."""
        with storage.open(name) as file:
            parquet = self._open(file, storages.join(storage.location, name))
            self.columns.continue_with(parquet.schema_arrow)
            for batch in parquet.iter_batches(columns=["key", "error"]):
                for row in batch.to_pylist():
                    row["key"] = not_utf8.unescape(row["key"])
                    yield records.recorded_item(row)

    def without_failed(self, storage: Storage, name: str) -> bytes | None:
        """Return the contents of a part without its errors; see `PartFormat`."""
        with storage.open(name) as file:
            table = self._open(file, name).read()
        kept = table.filter(_has_result(table))
        return None if kept.num_rows == table.num_rows else self._encode(kept)

    def _open(self, file: Any, location: str) -> Any:
        try:
            parquet = self._parquet.ParquetFile(file)
        except (self._arrow.ArrowException, OSError):
            parquet = None
        if parquet is None or not {"key", "error"} <= {*parquet.schema_arrow.names}:
            raise BadRequest(f"{location} was not written by a batch; move it away")
        return parquet

    def _encode(self, table: Any) -> bytes:
        sink = self._arrow.BufferOutputStream()
        self._parquet.write_table(table, sink, compression=COMPRESSION)
        return bytes(sink.getvalue())


class ParquetFileOutput:
    """One Parquet file, which is complete after each run; until then it has parts beside it."""

    def __init__(
        self, path: Path, results: Sequence[str], shapes: Mapping[str, Shape] = JSON_SHAPES
    ) -> None:
        """Write to `path`; parts are in the folder `NAME.parquet.parts`.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        self._path = path
        self._folder = FolderStorage(path.parent)
        self.parts_path = path.with_name(f"{path.name}.parts")
        self._format = ParquetParts(results, shapes)
        self._parquet = extras.load("pyarrow.parquet", to="to write Parquet")
        self._parts = FolderStorage(self.parts_path)
        self._output = PartsOutput(self._parts, self._format, Part(0, 0))

    def recorded_items(self, *, repair: bool = True) -> Iterator[RecordedItem]:
        """Yield the items in the file, then those in the parts; see `Output`."""
        if repair:
            self.parts_path.mkdir(parents=True, exist_ok=True)
        num_merged = 0
        if self._path.exists():
            yield from self._format.items(self._folder, self._path.name)
            num_merged = _num_merged(self._format.columns.schema)
        if repair:
            for number in range(num_merged):  # a run was killed before it removed them
                self._parts.remove(Part(0, number).stem + self._format.suffix)
        self._output = PartsOutput(self._parts, self._format, Part(0, num_merged))
        if self.parts_path.exists():
            yield from self._output.recorded_items(repair=repair)

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes in parts; see `Output`."""
        self._output.append(outcomes)

    def close(self) -> None:
        """Write the file anew, if there are parts that it does not have; idempotent."""
        self._output.close()
        if self.parts_path.exists():
            names = sorted(file.name for file in self._parts.walk())
            if names:
                self._merge(names)
            shutil.rmtree(self.parts_path)

    def forget_failed(self) -> None:
        """Remove all errors; see `Output`."""
        self._output.forget_failed()
        if self._path.exists():
            schema = self._format.columns.schema
            self._write([self._path], schema, lambda table: table.filter(_has_result(table)))

    def _merge(self, names: Sequence[str]) -> None:
        last = names[-1].removesuffix(self._format.suffix).rpartition("-")[2]
        schema = self._format.columns.schema.with_metadata({NUM_MERGED: str(int(last) + 1)})
        olds = [self._path] if self._path.exists() else []
        self._write([*olds, *(self.parts_path / name for name in names)], schema, lambda one: one)

    def _write(self, paths: Sequence[Path], schema: Any, change: Callable[[Any], Any]) -> None:
        """Write the row groups of `paths` to the file, each changed by a function."""
        written = self._path.with_name(f".{self._path.name}.new")
        with self._parquet.ParquetWriter(written, schema, compression=COMPRESSION) as writer:
            for path in paths:
                with self._parquet.ParquetFile(path) as parquet:
                    for group in range(parquet.num_row_groups):
                        table = change(parquet.read_row_group(group))
                        writer.write_table(table.replace_schema_metadata(schema.metadata))
        with written.open("rb") as file:
            os.fsync(file.fileno())
        written.replace(self._path)
        disk_sync.sync(self._path.parent)


def _has_result(table: Any) -> Any:
    return table.column("error").is_null()


def _num_merged(schema: Any) -> int:
    return int((schema.metadata or {}).get(NUM_MERGED, b"0"))
