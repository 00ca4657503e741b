"""Audio in any form that a caller can pass, opened as a clip that can be sent repeatedly.

A path is read while it is sent and never held in memory. A file object, a pipe and a download
are first spooled to an unnamed temporary file: none can be read twice, and a retry has to.
Names can be any that a file system allows; in messages they are escaped (`printable`).
"""

import contextlib
import errno
import functools
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, BinaryIO

from flamingo.client import address, blocking, pipes
from flamingo.client.failures import UnreadableFile
from flamingo_common.errors import InvalidAudio, RequestTooLarge
from flamingo_common.service import printable, urls
from flamingo_common.wire import MAX_BODY_BYTES, clip_ids

COPY_BYTES = 2**18
MAX_SHOWN_CHARACTERS = 300
_LASTING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
_LASTING |= {errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV}
"""Why a file cannot be opened, now and later."""
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]+:")


class ClipId(str):
    """The id of a clip that the fleet holds, from an earlier response: `ClipId("clip-…")`.

    It can be passed wherever audio is; `ClipNotHeld` is raised when it is not held any more.
    """

    __slots__ = ()


FilePath = str | os.PathLike[str] | os.PathLike[bytes]
Audio = FilePath | bytes | bytearray | memoryview | BinaryIO
"""A path, an http(s) URL, the file's contents, a file opened in binary mode, or a `ClipId`."""
Download = Callable[[str, BinaryIO], Awaitable[None]]
"""Write the contents of a URL to a file."""


@dataclass(frozen=True)
class Clip:
    """The bytes of one clip. Reading has no side effects, so each attempt can read them again."""

    name: str
    """The file name as Python has it: bytes that are not UTF-8 are lone surrogates."""
    size_bytes: int
    read_at: Callable[[int, int], bytes]
    """Return up to `num_bytes` bytes from an offset: `read_at(offset, num_bytes)`."""
    on_sent: Callable[[bytes], object] | None = None
    """Called with the digest of all bytes (`new_digest`) when the last one was sent."""


def new_digest() -> hashlib.blake2b:
    """Return the digest of a clip, to be updated with its bytes."""
    return hashlib.blake2b(digest_size=32)


@contextlib.asynccontextmanager
async def open_clip(audio: Audio, download: Download) -> AsyncIterator[Clip]:
    """Yield `audio` as a clip.

    Raises:
        InvalidAudio: the file does not exist, cannot be read, or is empty.
        RequestTooLarge: a file object or download exceeds `MAX_BODY_BYTES`.
        TypeError: `audio` is not of a supported type.
    """
    if isinstance(audio, bytes | bytearray | memoryview):
        yield _clip_of_bytes(bytes(audio))
        return
    with contextlib.closing(await _open_file(audio, download)) as file:
        yield _clip_of_file(file, clip_name(audio), display_name=_display_name(audio))


def clip_name(audio: Audio) -> str:
    """Return the file name of `audio`; the word "audio" if it has none."""
    if isinstance(audio, bytes | bytearray | memoryview):
        return "audio"
    if address.is_url(audio):
        return PurePath(urls.redact_url(audio)).name or "audio"
    path: Any = audio if isinstance(audio, str | os.PathLike) else getattr(audio, "name", None)
    if not isinstance(path, str | bytes | os.PathLike):  # an open file's can also be a number
        return "audio"
    return PurePath(os.fsdecode(path)).name or "audio"


def _display_name(audio: FilePath | BinaryIO) -> str:
    """Return the path of `audio`, or the name of anything else, as messages show it."""
    if address.is_url(audio) or not isinstance(audio, str | os.PathLike):
        return printable.escape_line(clip_name(audio))
    return printable.escape_line(os.fsdecode(audio)[:MAX_SHOWN_CHARACTERS])


async def _open_file(audio: FilePath | BinaryIO, download: Download) -> BinaryIO:
    if address.is_url(audio):
        return await _spool(functools.partial(download, audio))
    name = _display_name(audio)
    if isinstance(audio, str | os.PathLike):
        return await _open_path(audio, name)
    if not hasattr(audio, "read"):
        kind = type(audio).__name__
        raise TypeError(f"audio must be a path, a URL, bytes or a binary file, not {kind}")
    if pipes.is_live(audio):
        return await _spool(functools.partial(_save, pipes.read_live(audio), name))
    return await _spool(functools.partial(_save, _read_file(audio), name))


async def _open_path(path: FilePath, name: str) -> BinaryIO:
    """Return the open file at `path`, or a temporary copy of what a pipe delivers."""
    try:
        file = await blocking.run_to_end(_open_unblocking, path, discard=_close)
    except OSError as error:
        raise _unreadable(name, error) from None
    except ValueError:  # a null character, or a lone surrogate
        raise InvalidAudio(f"{name}: no file can have this name", param="file") from None
    mode = os.fstat(file.fileno()).st_mode
    if stat.S_ISREG(mode):
        return file
    with file:
        if pipes.is_pipe(mode):  # as in `flamingo caption <(ffmpeg …)`
            chunks = pipes.read_named_pipe(file.fileno(), name)
            return await _spool(functools.partial(_save, chunks, name))
        if pipes.is_live(file):  # /dev/stdin
            return await _spool(functools.partial(_save, pipes.read_live(file), name))
    raise InvalidAudio(f"{name}: a device, not a file", param="file")


def _open_unblocking(path: FilePath) -> BinaryIO:
    """Open `path`; opening a pipe does not wait for the program that writes to it."""
    return open(path, "rb", buffering=0, opener=_open_descriptor)


def _close(file: BinaryIO) -> None:
    file.close()


def _open_descriptor(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _unreadable(name: str, error: OSError) -> InvalidAudio:
    reason = (error.strerror or str(error)).lower()
    if _SCHEME.match(name) and isinstance(error, FileNotFoundError):
        reason += "; of URLs, only http and https are supported"
    if clip_ids.is_clip_id(name):
        reason += "; the id of a clip that the fleet holds is passed as a ClipId"
    cls = InvalidAudio if error.errno in _LASTING else UnreadableFile
    return cls(f"{name}: {reason}", param="file")


async def _spool(write_to: Callable[[BinaryIO], Awaitable[None]]) -> BinaryIO:
    """Return a temporary file with what `write_to` wrote to it."""
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `open_clip`
    try:
        await write_to(file)
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


async def _save(chunks: AsyncIterator[bytes], name: str, target: BinaryIO) -> None:
    num_bytes = 0
    try:
        async for chunk in chunks:
            num_bytes += len(chunk)
            if num_bytes > MAX_BODY_BYTES:
                raise RequestTooLarge(
                    f"{name} exceeds the limit of {MAX_BODY_BYTES} bytes", param="file"
                )
            await blocking.run_to_end(target.write, chunk)
    except OSError as error:
        raise _unreadable(f"cannot copy {name} to a temporary file", error) from None


async def _read_file(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await blocking.run(file.read, COPY_BYTES):
        if not isinstance(chunk, bytes):
            raise TypeError("the audio file is open in text mode; open it with 'rb'")
        yield chunk


def _clip_of_bytes(audio: bytes) -> Clip:
    _check_not_empty("the audio", len(audio))
    return Clip("audio", len(audio), lambda offset, num_bytes: audio[offset : offset + num_bytes])


def _clip_of_file(file: BinaryIO, name: str, *, display_name: str) -> Clip:
    number = file.fileno()
    size_bytes = os.fstat(number).st_size
    _check_not_empty(display_name, size_bytes)
    return Clip(name, size_bytes, lambda offset, num_bytes: os.pread(number, num_bytes, offset))


def _check_not_empty(display_name: str, size_bytes: int) -> None:
    if size_bytes == 0:
        raise InvalidAudio(f"{display_name} is empty", param="file")
