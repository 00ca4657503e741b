"""Contents of files and results, in a directory or a bucket.

An object appears at once and as a whole, or not at all, and what was written survives a power
failure. In a directory, what a killed process was writing stays beside it, with a `#` in its name,
until it is swept.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import obstore
from obstore.store import from_url

from flamingo_common.service import disk_sync

PART_BYTES = 8 * 2**20
READ_BYTES = 2**20
MAX_UPLOADED_PARTS = 2
"""In memory, of one object."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object: its path, and when it was written."""

    path: str
    modified: datetime


class Contents:
    """A directory or a bucket, whose credentials come from the environment."""

    def __init__(self, url: str) -> None:
        """Open `url`; a directory is created."""
        self.folder = None if "://" in url else Path(url).resolve()
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        self._store: Any = from_url(self.folder.as_uri() if self.folder else url)

    async def write(self, path: str, data: bytes | AsyncIterable[bytes]) -> None:
        """Write an object; if `data` raises, its error is raised, and nothing is kept."""
        await obstore.put_async(
            self._store, path, data, chunk_size=PART_BYTES, max_concurrency=MAX_UPLOADED_PARTS
        )
        if self.folder is not None:
            await asyncio.to_thread(_sync, self.folder / path, self.folder)

    async def size(self, path: str) -> int:
        """Return the bytes of an object.

        Raises:
            FileNotFoundError: there is no such object.
        """
        return int((await obstore.head_async(self._store, path))["size"])

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """Yield the bytes of an object.

        Raises:
            FileNotFoundError: there is no such object.
        """
        found = await obstore.get_async(self._store, path)
        async for part in found.stream(min_chunk_size=READ_BYTES):
            yield bytes(part)

    async def delete(self, paths: Iterable[str]) -> None:
        """Delete objects, whether or not they exist."""
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                await obstore.delete_async(self._store, path)

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Yield all objects below a prefix."""
        async for some in obstore.list(self._store, prefix=prefix):
            for each in some:
                yield StoredObject(each["path"], each["last_modified"])


def _sync(file: Path, folder: Path) -> None:
    """Have a file on the disk, and the directories that lead to it from `folder`."""
    disk_sync.sync(file)
    for parent in file.parents:
        disk_sync.sync(parent)
        if parent == folder:
            break
