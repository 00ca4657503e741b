"""Embeddings as NumPy `.npy` files in a folder."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flamingo.batch.outputs.file_names import file_name
from flamingo_common.service import disk_sync


class NpyFiles:
    """A folder of `.npy` files, named for the keys of their items.

    A file counts once a line of the output names it, so one that a kill has left incomplete is
    written again by the next run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unsynced_folders: set[Path] = set()

    def write(self, key: str, embedding: NDArray[np.float32]) -> str:
        """Write an embedding; return its path relative to the folder.

        It survives a power failure after the next `sync`.

        Raises:
            OSError: the file cannot be written.
        """
        name = file_name(key, ".npy")
        path = self._folder / name
        if path.parent not in self._unsynced_folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            inner = path.parent.relative_to(self._folder)
            self._unsynced_folders |= {self._folder / one for one in (inner, *inner.parents)}
        with path.open("wb") as file:
            np.save(file, embedding)
            file.flush()
            os.fsync(file.fileno())
        return name

    def sync(self) -> None:
        """Make the names of all files that were written, and of new folders, survive one too."""
        for folder in self._unsynced_folders:
            disk_sync.sync(folder)
        self._unsynced_folders.clear()
