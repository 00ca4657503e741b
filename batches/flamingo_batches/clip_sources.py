"""Reads clips for lines: from the files that are kept here, and from buckets that are allowed."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from flamingo_batches import ids
from flamingo_batches.checks.clips import ClipReference
from flamingo_batches.contents import Contents


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip's size, and where its bytes are."""

    num_bytes: int
    store: Contents
    path: str

    def read(self) -> AsyncIterator[bytes]:
        """Yield the bytes."""
        return self.store.read(self.path)


class ClipSources:
    """The contents of files, and buckets by the beginning of their URLs."""

    def __init__(self, files: Contents, urls: Sequence[str]) -> None:
        """Prepare to read from `urls`, each of which ends with a slash."""
        self._files = files
        self._buckets = {url: Contents(url) for url in urls}

    async def find(self, reference: ClipReference) -> Clip:
        """Return a clip.

        Raises:
            FileNotFoundError: it does not exist, or is in none of the buckets.
        """
        if reference.file_id:
            return await _clip(self._files, ids.contents_path(reference.file_id))
        for prefix, bucket in self._buckets.items():
            if reference.url.startswith(prefix):
                return await _clip(bucket, reference.url.removeprefix(prefix))
        raise FileNotFoundError(reference.url)


async def _clip(store: Contents, path: str) -> Clip:
    return Clip(await store.size(path), store, path)
