"""What a folder and a bucket have in common."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from flamingo_common.errors import FlamingoError
from flamingo_common.service import printable


class StorageFailed(FlamingoError):
    """A folder or a bucket cannot be listed, read or written.

    That can be different in the next run: a network may come back, and credentials be renewed.
    """

    code = "storage_failed"
    retryable = True


@dataclass(frozen=True)
class StoredFile:
    """A file in a folder, or an object in a bucket."""

    name: str
    """Relative to the folder, with `/`; bytes that are not UTF-8 are lone surrogates."""
    size_bytes: int


class Storage(Protocol):
    """A folder, or a prefix of a bucket. Names are relative to it and have `/`."""

    @property
    def location(self) -> str:
        """Its path or URL."""

    @property
    def identity(self) -> str:
        """The absolute path, or the URL, which are the same however it was named."""

    def walk(self, folder: str = "") -> Iterator[StoredFile]:
        """Yield all files in one of its folders, also in subfolders, in an order that stays.

        Hidden files and folders, whose name begins with a dot, are left out, apart from `folder`
        itself. A `folder` that does not exist is empty.

        Raises:
            StorageFailed: it, or a folder in it, cannot be listed.
        """

    def open(self, name: str) -> BinaryIO:
        """Open a file, from which can be read at any offset.

        Raises:
            StorageFailed: it does not exist or cannot be read.
        """

    def audio(self, name: str) -> Path | bytes:
        """Return a file as the client takes it: its path, which is not opened, or its contents.

        Raises:
            InvalidAudio: it does not exist.
            RequestTooLarge: it is larger than what the server accepts.
            StorageFailed: it cannot be read.
        """

    def size_bytes(self, name: str) -> int | None:
        """Return the size of a file, or None if there is no such file."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file, which replaces another one: it is there as a whole or not at all.

        When this returns, the file survives a loss of power.

        Raises:
            StorageFailed: it cannot be written.
        """

    def create(self, name: str, content: bytes) -> None:
        """Write a new file, as `write` does.

        Raises:
            StorageFailed: it exists and has other contents: another run writes here, too.
        """

    def remove(self, name: str) -> None:
        """Remove a file; one that does not exist is not an error."""


def failed(action: str, location: str, reason: str) -> StorageFailed:
    """Return the error for something in a folder or bucket that cannot be done."""
    return StorageFailed(f"cannot {action} {printable.escape_line(location)}: {reason}")


def exists_already(location: str) -> StorageFailed:
    """Return the error for a file that two runs have written."""
    return failed("write", location, "another run writes to the same output; let one of them end")


def join(location: str, name: str) -> str:
    """Return the location of a file for messages."""
    return f"{location.rstrip('/')}/{name}" if name else location


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it is in, has a name that begins with a dot."""
    return name.startswith(".") or "/." in name
