"""Parts with embeddings in safetensors, and JSON Lines beside them."""

from collections.abc import Iterator, Sequence

from flamingo.batch import extras
from flamingo.batch.outputs import not_utf8
from flamingo.batch.outputs.journal_lines import OutputRow
from flamingo.batch.outputs.jsonl_parts import JsonlParts
from flamingo.batch.outputs.part_names import Part


class SafetensorsParts(JsonlParts):
    """Parts with a tensor for each item, whose name is the item's key, of shape (frames, D).

    The line of an item names the file with its tensor. It is written last: what has no line does
    not count.
    """

    def __init__(self) -> None:
        """Import safetensors.

        Raises:
            MissingExtra: it is not installed.
        """
        self._numpy = extras.load("safetensors.numpy", to="to write safetensors")

    def files(self, part: Part, rows: Sequence[OutputRow]) -> Iterator[tuple[str, bytes]]:
        """Yield the tensors of a part, then its lines; see `PartFormat`."""
        name = f"{part.stem}.safetensors"
        tensors = {
            not_utf8.escape(row.key): row.embedding for row in rows if row.embedding is not None
        }
        if tensors:
            yield name, self._numpy.save(tensors)
        yield from super().files(part, [_with_file(row, name) for row in rows])


def _with_file(row: OutputRow, name: str) -> OutputRow:
    if row.embedding is None:
        return row
    return OutputRow({**row.fields, "embedding_file": name})  # without its numbers
