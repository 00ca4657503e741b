"""A file that may change while we run: read anew when it does.

Kubernetes changes a mounted Secret by swapping a symbolic link, so the file behind
the name is another one: its inode tells. A new file that is broken changes nothing.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from flamingo_common.service import logs

T = TypeVar("T")
POLL_S = 1.0
Trace = tuple[int, ...] | None


class ReloadingFile(Generic[T]):
    """What a file says, now."""

    def __init__(self, path: Path, parse: Callable[[bytes], T]) -> None:
        """Read it.

        Raises:
            OSError: it cannot be read.
            ValueError: `parse` cannot use it.
        """
        self._path, self._parse = path, parse
        self._trace = _trace(path)
        self.value = parse(path.read_bytes())

    async def watch(self, *, poll_s: float = POLL_S) -> None:
        """Look again and again, for ever."""
        while True:
            await asyncio.sleep(poll_s)
            self.refresh()

    def refresh(self) -> None:
        """Read the file if it is another one than before; a broken one is told once."""
        trace = _trace(self._path)
        if trace == self._trace:
            return
        self._trace = trace
        try:
            self.value = self._parse(self._path.read_bytes())
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            logs.get().error("file.not_reloaded", path=str(self._path), reason=why)
        else:
            logs.get().info("file.reloaded", path=str(self._path))


def _trace(path: Path) -> Trace:
    """Return what is another when the file is."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
