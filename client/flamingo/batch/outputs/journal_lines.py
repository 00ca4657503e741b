"""Rows in a journal: a line of JSON each, with the numbers of an embedding in base64.

Pure.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flamingo.batch import records
from flamingo.batch.outcomes import Outcome


@dataclass(frozen=True, slots=True, eq=False)
class OutputRow:
    """One row of a part."""

    fields: Mapping[str, Any]
    """What `records.record` returns."""
    embedding: NDArray[np.float32] | None = None
    """Shape (frames, dimensions)."""
    frame_timestamps: NDArray[np.float64] | None = None
    """None when pooled."""

    @property
    def key(self) -> str:
        """The item's key."""
        return str(self.fields["key"])

    @property
    def num_bytes(self) -> int:
        """About how much memory it needs."""
        arrays = (self.embedding, self.frame_timestamps)
        return 2000 + sum(0 if one is None else one.nbytes for one in arrays)


def output_row(outcome: Outcome, *, embedding_file: str | None = None) -> OutputRow:
    """Return the row of an outcome; one whose embedding has a file of its own is without it."""
    fields = records.record(outcome, embedding_file=embedding_file)
    result = outcome.result
    if result is None or embedding_file is not None:
        return OutputRow(fields)
    return OutputRow(fields, result.embedding, result.frame_timestamps)


def encode(rows: Iterable[OutputRow]) -> bytes:
    """Return an entry of a journal."""
    return b"".join(json.dumps(_document(row)).encode() + b"\n" for row in rows)


def parse(entry: bytes) -> Iterator[OutputRow]:
    """Yield the rows of an entry.

    Raises:
        ValueError, KeyError, TypeError: it was not written by `encode`.
    """
    for line in entry.splitlines():
        document = json.loads(line)
        embedding, times = document["embedding"], document["times"]
        yield OutputRow(
            document["fields"],
            None if embedding is None else _array(embedding, np.float32),
            None if times is None else _array(times, np.float64),
        )


def _document(row: OutputRow) -> dict[str, Any]:
    return {
        "fields": row.fields,
        "embedding": None if row.embedding is None else _encoded(row.embedding),
        "times": None if row.frame_timestamps is None else _encoded(row.frame_timestamps),
    }


def _encoded(array: NDArray[Any]) -> dict[str, Any]:
    data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    return {"shape": array.shape, "data": base64.b64encode(data.tobytes()).decode()}


def _array(document: Mapping[str, Any], dtype: type[np.generic]) -> NDArray[Any]:
    data = np.frombuffer(base64.b64decode(document["data"]), np.dtype(dtype).newbyteorder("<"))
    return data.reshape(document["shape"]).astype(dtype)
