"""Audio, in whatever form the caller has it → a clip that can be sent, and sent again.

A path is read while it is sent and never held in memory. A file object and a
download go to an unnamed temporary file first: neither can be read twice, and a
retry must.
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
"""A path, an `http(s)` URL, the bytes themselves, or a file opened in binary mode."""
Fetch = Callable[[str, BinaryIO], Awaitable[None]]
"""Download a URL into a file."""


@dataclass(frozen=True)
class Clip:
    """One clip's bytes; reading leaves no trace, so every attempt starts at the beginning."""

    name: str
    size_bytes: int
    read_at: Callable[[int, int], bytes]
    """`(offset, num_bytes)` → bytes."""


@contextlib.asynccontextmanager
async def opened(audio: Audio, fetch: Fetch) -> AsyncIterator[Clip]:
    """Yield `audio` as a clip.

    Raises:
        InvalidAudio: there is no such file, it cannot be read, or it is empty.
        RequestTooLarge: a file object or download is over `MAX_BODY_BYTES`.
        TypeError: it is no form of audio at all.
    """
    if isinstance(audio, bytes | bytearray):
        yield _of_bytes(bytes(audio))
        return
    is_path = isinstance(audio, os.PathLike) or (
        isinstance(audio, str) and not address.is_url(audio)
    )
    with contextlib.closing(await _file(audio, fetch)) as file:
        yield _of_file(file, name_of(audio), told_as=str(audio) if is_path else name_of(audio))


def name_of(audio: Audio) -> str:
    """Return what to call `audio` in the request, in a message, in a heading."""
    if isinstance(audio, bytes | bytearray):
        return "audio"
    if isinstance(audio, str) and address.is_url(audio):
        return PurePath(address.shown(audio)).name or "audio"
    path = audio if isinstance(audio, str | os.PathLike) else getattr(audio, "name", "audio")
    return PurePath(os.fsdecode(path)).name if isinstance(path, str | os.PathLike) else "audio"


async def _file(audio: str | os.PathLike[str] | BinaryIO, fetch: Fetch) -> BinaryIO:
    if isinstance(audio, str) and address.is_url(audio):
        return await _kept(functools.partial(fetch, audio))
    if isinstance(audio, str | os.PathLike):
        file = await asyncio.to_thread(_open, audio)
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        with file:  # a pipe, as in `flamingo caption <(ffmpeg …)`
            return await _kept(functools.partial(_copied, file))
    if not hasattr(audio, "read"):
        kind = type(audio).__name__
        raise TypeError(f"audio is a path, a URL, bytes or a binary file, not {kind}")
    return await _kept(functools.partial(_copied, audio))


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise InvalidAudio(f"{os.fsdecode(path)}: {why}", param="file") from None


async def _kept(fill: Callable[[BinaryIO], Awaitable[None]]) -> BinaryIO:
    """Return a temporary file that `fill` has written."""
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `opened`
    try:
        await fill(file)
    except BaseException:
        file.close()
        raise
    file.flush()
    return file


async def _copied(source: BinaryIO, target: BinaryIO) -> None:
    await asyncio.to_thread(_copy, source, target)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    num_bytes = 0
    while chunk := source.read(COPY_BYTES):
        if not isinstance(chunk, bytes):
            raise TypeError("the audio file is open in text mode; open it with 'rb'")
        num_bytes += len(chunk)
        if num_bytes > MAX_BODY_BYTES:
            raise RequestTooLarge(f"the audio is over {MAX_BODY_BYTES} bytes", param="file")
        target.write(chunk)


def _of_bytes(audio: bytes) -> Clip:
    _refuse_empty("the audio", len(audio))
    return Clip("audio", len(audio), lambda offset, num_bytes: audio[offset : offset + num_bytes])


def _of_file(file: BinaryIO, name: str, *, told_as: str) -> Clip:
    number = file.fileno()
    size_bytes = os.fstat(number).st_size
    _refuse_empty(told_as, size_bytes)
    return Clip(name, size_bytes, lambda offset, num_bytes: os.pread(number, num_bytes, offset))


def _refuse_empty(name: str, size_bytes: int) -> None:
    if size_bytes == 0:
        raise InvalidAudio(f"{name}: it is empty", param="file")
