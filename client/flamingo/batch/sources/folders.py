"""Audio files in a folder or a bucket."""

from collections.abc import Callable, Iterator

from flamingo.batch.items import Entry, Item
from flamingo.batch.source import ClipAudio
from flamingo.batch.storage.storage import Storage


class FolderSource:
    """All audio files of a folder or bucket that are wanted; keys are relative names."""

    def __init__(self, storage: Storage, is_wanted: Callable[[str], bool]) -> None:
        self._storage = storage
        self._is_wanted = is_wanted

    def items(self) -> Iterator[Entry]:
        """Return an iterator over the files; see `Source`."""
        for file in self._storage.walk():
            if self._is_wanted(file.name):
                columns = {"file_name": file.name}
                yield Item(file.name, file.name, columns, num_bytes=file.size_bytes)

    def fingerprint(self) -> str:
        """Return the place: files may be added between runs."""
        return f"folder {self._storage.identity}"

    def audio(self, item: Item) -> ClipAudio:
        """Return the path or the contents of a file; see `Source`."""
        return self._storage.audio(item.location)
