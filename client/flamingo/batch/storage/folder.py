"""A folder on this machine."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from flamingo.batch.storage import storage
from flamingo.batch.storage.storage import StoredFile
from flamingo_common.service import disk_sync


class FolderStorage:
    """A folder, whose files are listed in the order of their names.

    Links to folders are followed, unless they lead back to a folder that they are in. The names
    of one folder at a time are in memory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def location(self) -> str:
        """The folder's path."""
        return str(self._path)

    @property
    def identity(self) -> str:
        """The folder's absolute path."""
        return os.path.abspath(self._path)  # noqa: PTH100 - a link stays one, and `..` goes

    def walk(self, folder: str = "") -> Iterator[StoredFile]:
        """Yield all files; see `Storage`. A broken link is a file of 0 bytes."""
        stack: list[tuple[Iterator[str], tuple[tuple[int, int], ...]]]
        if folder and not (self._path / folder).is_dir():
            return
        stack = [(iter(self._list(folder)), (_identity(self._path / folder),))]
        while stack:
            names, ancestors = stack[-1]
            name = next(names, None)
            if name is None:
                stack.pop()
                continue
            entry = self._path / name
            if not entry.is_dir():
                yield StoredFile(name, _size_bytes(entry) or 0)
            elif (identity := _identity(entry)) not in ancestors:
                stack.append((iter(self._list(name)), (*ancestors, identity)))

    def _list(self, folder: str) -> list[str]:
        path = self._path / folder
        prefix = f"{folder}/" if folder else ""
        try:
            names = [name for name in os.listdir(path) if not name.startswith(".")]  # noqa: PTH208
        except OSError as error:
            raise storage.failed("list", str(path), _reason(error)) from None
        return [prefix + name for name in sorted(names)]

    def open(self, name: str) -> BinaryIO:
        """Open a file; see `Storage`."""
        path = self._path / name
        try:
            return path.open("rb")
        except (OSError, ValueError) as error:
            raise storage.failed("read", str(path), _reason(error)) from None

    def audio(self, name: str) -> Path:
        """Return the path of a file."""
        return self._path / name

    def size_bytes(self, name: str) -> int | None:
        """Return the size of a file, or None if there is no such file."""
        path = self._path / name
        return _size_bytes(path) if path.is_file() else None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, as a whole or not at all; see `Storage`."""
        path = self._path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_atomically(path, content, os.replace)
        except OSError as error:
            raise storage.failed("write", str(path), _reason(error)) from None

    def create(self, name: str, content: bytes) -> None:
        """Write a new file; see `Storage`."""
        path = self._path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_atomically(path, content, os.link)
        except FileExistsError:
            if path.read_bytes() != content:
                raise storage.exists_already(str(path)) from None
        except OSError as error:
            raise storage.failed("write", str(path), _reason(error)) from None

    def remove(self, name: str) -> None:
        """Remove a file, and its folder if that is then empty."""
        path = self._path / name
        try:
            path.unlink(missing_ok=True)
            if "/" in name:
                with contextlib.suppress(OSError):  # it has other files
                    path.parent.rmdir()
        except OSError as error:
            raise storage.failed("remove", str(path), _reason(error)) from None


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise storage.failed("list", str(path), _reason(error)) from None
    return found.st_dev, found.st_ino


def _size_bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _reason(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _write_atomically(path: Path, content: bytes, put: Callable[[str, str], None]) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        written = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            written.chmod(0o666 & ~_umask())  # temporary files are private
            put(str(written), str(path))
        finally:
            written.unlink(missing_ok=True)
    disk_sync.sync(path.parent)


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
