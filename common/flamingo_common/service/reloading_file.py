"""A file that is reloaded when it changes.

Kubernetes updates a mounted Secret by replacing a symbolic link, which changes the inode
behind the path. If the new content is invalid, the old value stays in effect.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from flamingo_common.service import logs

T = TypeVar("T")
POLL_INTERVAL_S = 1.0
Fingerprint = tuple[int, ...] | None


class ReloadingFile(Generic[T]):
    """The parsed content of a file, in `value`."""

    def __init__(self, path: Path, parse: Callable[[bytes], T]) -> None:
        """Read the file.

        Raises:
            OSError: the file cannot be read.
            ValueError: from `parse`, the content is invalid.
        """
        self._path, self._parse = path, parse
        self._fingerprint = _fingerprint(path)
        self.value = parse(path.read_bytes())

    async def watch(self, *, poll_s: float = POLL_INTERVAL_S) -> None:
        """Check for changes periodically, until cancelled."""
        while True:
            await asyncio.sleep(poll_s)
            self.refresh()

    def refresh(self) -> None:
        """Reload the file if it has changed; invalid content is logged once."""
        fingerprint = _fingerprint(self._path)
        if fingerprint == self._fingerprint:
            return
        self._fingerprint = fingerprint
        try:
            self.value = self._parse(self._path.read_bytes())
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            logs.get().error("file.reload_failed", path=str(self._path), reason=reason)
        else:
            logs.get().info("file.reloaded", path=str(self._path))


def _fingerprint(path: Path) -> Fingerprint:
    """Return a fingerprint that changes with the file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
