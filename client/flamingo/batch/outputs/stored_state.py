"""The state of an output in a bucket: a file while a run lasts, an object between runs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from flamingo.batch.outcomes import Outcome, RecordedItem
from flamingo.batch.output import Output
from flamingo.batch.storage.storage import Storage


class StoredState:
    """An output whose state file is copied from a bucket, and to it before the first result."""

    def __init__(self, output: Output, storage: Storage, name: str, path: Path) -> None:
        """Copy the object `name`, if it exists, to the file `path`.

        Raises:
            StorageFailed: it cannot be read.
        """
        self._output = output
        self._storage = storage
        self._name = name
        self._path = path
        self._is_stored = False
        if storage.size_bytes(name) is not None:
            with storage.open(name) as file:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.read())

    def recorded_items(self, *, repair: bool = True) -> Iterator[RecordedItem]:
        """Yield what is recorded; see `Output`."""
        return self._output.recorded_items(repair=repair)

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Store the state, if it is not stored yet, and record outcomes; see `Output`."""
        if not self._is_stored:
            self._storage.write(self._name, self._path.read_bytes())
            self._is_stored = True
        self._output.append(outcomes)

    def close(self) -> None:
        """Close the output; idempotent."""
        self._output.close()

    def forget_failed(self) -> None:
        """Remove all errors; see `Output`."""
        self._output.forget_failed()
