"""Parts as JSON Lines, for places where a file cannot grow, with `.npy` files beside them."""

import io
import json
from collections.abc import Iterator, Sequence

import numpy as np

from flamingo.batch import records
from flamingo.batch.outcomes import RecordedItem
from flamingo.batch.outputs.file_names import file_name
from flamingo.batch.outputs.journal_lines import OutputRow
from flamingo.batch.outputs.part_names import Part
from flamingo.batch.storage import storage as storages
from flamingo.batch.storage.storage import Storage
from flamingo_common.errors import BadRequest


class JsonlParts:
    """Parts with one line for each item. A line names the `.npy` file with its embedding.

    Lines are written last: a file that no line names does not count.
    """

    suffix = ".jsonl"

    def files(self, part: Part, rows: Sequence[OutputRow]) -> Iterator[tuple[str, bytes]]:
        """Yield the files of a part; see `PartFormat`."""
        lines = []
        for row in rows:
            fields = dict(row.fields)
            if row.embedding is not None:
                fields["embedding_file"] = file_name(row.key, ".npy")
                content = io.BytesIO()
                np.save(content, row.embedding)
                yield fields["embedding_file"], content.getvalue()
            lines.append(json.dumps(fields).encode() + b"\n")
        yield part.stem + self.suffix, b"".join(lines)

    def items(self, storage: Storage, name: str) -> Iterator[RecordedItem]:
        """Yield the items in a part; see `PartFormat`."""
        with storage.open(name) as file:
            for line in file:
                try:
                    yield records.recorded_item(json.loads(line))
                except ValueError:
                    where = storages.join(storage.location, name)
                    raise BadRequest(f"{where} was not written by a batch; move it away") from None

    def without_failed(self, storage: Storage, name: str) -> bytes | None:
        """Return the contents of a part without its errors; see `PartFormat`."""
        with storage.open(name) as file:
            lines = file.readlines()
        kept = [line for line in lines if json.loads(line)["error"] is None]
        return None if len(kept) == len(lines) else b"".join(kept)
