"""Audio in any form that a caller can pass, opened as a clip that can be sent repeatedly.

A path is read while it is sent and never held in memory. A file object and a download are
first spooled to an unnamed temporary file: neither can be read twice, and a retry has to.
"""

import asyncio
import contextlib
import functools
import os
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO

from flamingo.client import address
from flamingo_common.errors import InvalidAudio, RequestTooLarge
from flamingo_common.wire import MAX_BODY_BYTES

COPY_BYTES = 2**18

Audio = str | os.PathLike[str] | bytes | bytearray | BinaryIO
"""A path, an http(s) URL, the file's contents, or a file opened in binary mode."""
Download = Callable[[str, BinaryIO], Awaitable[None]]
"""Write the contents of a URL to a file."""


@dataclass(frozen=True)
class Clip:
    """The bytes of one clip. Reading has no side effects, so each attempt can read them again."""

    name: str
    size_bytes: int
    read_at: Callable[[int, int], bytes]
    """Return up to `num_bytes` bytes from an offset: `read_at(offset, num_bytes)`."""


@contextlib.asynccontextmanager
async def open_clip(audio: Audio, download: Download) -> AsyncIterator[Clip]:
    """Yield `audio` as a clip.

    Raises:
        InvalidAudio: the file does not exist, cannot be read, or is empty.
        RequestTooLarge: a file object or download exceeds `MAX_BODY_BYTES`.
        TypeError: `audio` is not of a supported type.
    """
    if isinstance(audio, bytes | bytearray):
        yield _clip_of_bytes(bytes(audio))
        return
    is_path = isinstance(audio, os.PathLike) or (
        isinstance(audio, str) and not address.is_url(audio)
    )
    with contextlib.closing(await _open_file(audio, download)) as file:
        name = clip_name(audio)
        yield _clip_of_file(file, name, display_name=str(audio) if is_path else name)


def clip_name(audio: Audio) -> str:
    """Return the file name of `audio`; the word "audio" if it has none."""
    if isinstance(audio, bytes | bytearray):
        return "audio"
    if isinstance(audio, str) and address.is_url(audio):
        return PurePath(address.redact_url(audio)).name or "audio"
    path = audio if isinstance(audio, str | os.PathLike) else getattr(audio, "name", "audio")
    return PurePath(os.fsdecode(path)).name if isinstance(path, str | os.PathLike) else "audio"


async def _open_file(audio: str | os.PathLike[str] | BinaryIO, download: Download) -> BinaryIO:
    if isinstance(audio, str) and address.is_url(audio):
        return await _spool(functools.partial(download, audio))
    if isinstance(audio, str | os.PathLike):
        file = await asyncio.to_thread(_open_path, audio)
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        with file:  # a pipe, as in `flamingo caption <(ffmpeg …)`
            return await _spool(functools.partial(_copy, file))
    if not hasattr(audio, "read"):
        kind = type(audio).__name__
        raise TypeError(f"audio must be a path, a URL, bytes or a binary file, not {kind}")
    return await _spool(functools.partial(_copy, audio))


def _open_path(path: str | os.PathLike[str]) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidAudio(f"{os.fsdecode(path)}: {reason}", param="file") from None


async def _spool(write_to: Callable[[BinaryIO], Awaitable[None]]) -> BinaryIO:
    """Return a temporary file with what `write_to` wrote to it."""
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `open_clip`
    try:
        await write_to(file)
    except BaseException:
        file.close()
        raise
    file.flush()
    return file


async def _copy(source: BinaryIO, target: BinaryIO) -> None:
    await asyncio.to_thread(_copy_blocking, source, target)


def _copy_blocking(source: BinaryIO, target: BinaryIO) -> None:
    num_bytes = 0
    while chunk := source.read(COPY_BYTES):
        if not isinstance(chunk, bytes):
            raise TypeError("the audio file is open in text mode; open it with 'rb'")
        num_bytes += len(chunk)
        if num_bytes > MAX_BODY_BYTES:
            raise RequestTooLarge(
                f"the audio exceeds the limit of {MAX_BODY_BYTES} bytes", param="file"
            )
        target.write(chunk)


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
