"""Read pipes and terminals without blocking a thread, so that reading them can be cancelled."""

import asyncio
import io
import os
import stat
from collections.abc import AsyncIterator
from typing import TypeGuard

from flamingo_common.errors import InvalidAudio

CHUNK_BYTES = 2**18
WRITER_TIMEOUT_S = 5.0
"""How long a pipe may be without a program that writes to it."""
_POLL_INTERVAL_S = 0.05


def is_pipe(mode: int) -> bool:
    """Return whether a file of this mode is a pipe or a socket."""
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def is_live(file: object) -> TypeGuard[io.BufferedReader | io.FileIO]:
    """Return whether `file` reads from a pipe or a terminal, for example standard input."""
    if not isinstance(file, io.BufferedReader | io.FileIO) or file.closed:
        return False
    try:
        number = file.fileno()
    except OSError:
        return False
    return is_pipe(os.fstat(number).st_mode) or os.isatty(number)


async def read_named_pipe(number: int, name: str) -> AsyncIterator[bytes]:
    """Yield what is written to the pipe with the non-blocking file descriptor `number`.

    Raises:
        InvalidAudio: no program has opened the pipe for writing.
    """
    has_writer, waited_s = False, 0.0
    while True:
        try:
            chunk = os.read(number, CHUNK_BYTES)
        except BlockingIOError:
            has_writer = True
            await _wait_until_readable(number)
            continue
        if chunk:
            has_writer = True
            yield chunk
        elif has_writer:
            return
        elif waited_s >= WRITER_TIMEOUT_S:
            raise InvalidAudio(f"{name}: a pipe to which no program writes", param="file")
        else:
            await asyncio.sleep(_POLL_INTERVAL_S)
            waited_s += _POLL_INTERVAL_S


async def read_live(file: io.BufferedReader | io.FileIO) -> AsyncIterator[bytes]:
    """Yield what arrives at `file`, for which `is_live` holds, to its end."""
    while True:
        await _wait_until_readable(file.fileno())
        read = file.read1 if isinstance(file, io.BufferedReader) else file.read
        chunk = read(CHUNK_BYTES)
        if chunk == b"":
            return
        if chunk:
            yield chunk


async def _wait_until_readable(number: int) -> None:
    loop = asyncio.get_running_loop()
    is_readable = asyncio.Event()
    loop.add_reader(number, is_readable.set)
    try:
        await is_readable.wait()
    finally:
        loop.remove_reader(number)
