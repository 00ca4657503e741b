"""Turn a request's audio, however it was sent, into a memory file that a worker can open.

Audio comes as base64, as a `data:` URL, as an `http(s)` URL, or as a multipart file.
"""

import asyncio
import binascii
from collections.abc import Iterable, Iterator

import pybase64

from flamingo_common.errors import InvalidAudio
from flamingo_common.wire import data_url
from flamingo_common.wire.requests import AudioInput
from flamingo_pod.audio.fetch import Fetcher
from flamingo_pod.audio.memory_budget import COPIES_OF_JSON, Reservation
from flamingo_pod.audio.memory_file import MemoryFile

CHUNK_CHARS = 2**20
"""Decoding and writing a mebibyte of base64 takes half a millisecond of the event loop."""
QUOTED_CHUNK_CHARS = 2**16
"""Percent-decoding takes a hundred times as long."""


async def load_clip_file(
    audio: AudioInput | MemoryFile, fetcher: Fetcher, reservation: Reservation
) -> MemoryFile:
    """Return the clip's file, not yet decoded.

    Raises:
        InvalidAudio: not valid base64, or empty.
        MediaFetchFailed: the URL could not be fetched.
        Overloaded: the fetched audio exceeds the pod's memory budget.
    """
    file = audio
    if not isinstance(file, MemoryFile):
        file = await _file_of_input(file, fetcher, reservation)
    return check_not_empty(file)


def check_not_empty(file: MemoryFile) -> MemoryFile:
    """Return the file; raises `InvalidAudio` if it is empty."""
    if not file.size:
        raise InvalidAudio("the audio is empty", param="audio")
    return file


def reserved_bytes(audio: AudioInput | MemoryFile, file: MemoryFile | None = None) -> int:
    """Return how many bytes were reserved for a clip while it was received or fetched."""
    text = "" if isinstance(audio, MemoryFile) else audio.data or audio.url or ""
    return max(file.size if file else 0, COPIES_OF_JSON * len(text))


def is_fetched(audio: AudioInput) -> bool:
    """Return whether the clip is at an `http(s)` URL."""
    return audio.url is not None and not data_url.is_data_url(audio.url)


async def _file_of_input(
    audio: AudioInput, fetcher: Fetcher, reservation: Reservation
) -> MemoryFile:
    if audio.url is not None and is_fetched(audio):
        return await fetcher.fetch(audio.url, reservation)
    text = audio.data if audio.data is not None else audio.url
    assert text is not None  # AudioInput has exactly one of the two
    file = reservation.new_file()
    for chunk in decode(text):
        file.write(chunk)
        await asyncio.sleep(0)  # let other requests run
    return file


def decode(text: str) -> Iterator[bytes]:
    """Yield the bytes of base64, or of a `data:` URL of any kind.

    In chunks, so that a long clip is in memory once as text and once as bytes.

    Raises:
        InvalidAudio: it is neither.
    """
    if not data_url.is_data_url(text):
        return decode_base64(_chunks(text, 0))
    header = data_url.parse_header(text)
    if header is None:
        raise InvalidAudio(f"the audio's data: URL has no comma; {data_url.EXPECTED}")
    start, is_quoted = header.data_at, text.find("%", header.data_at) >= 0
    if not header.is_base64 and not is_quoted and start < len(text):  # plain text is not audio
        raise InvalidAudio(
            f"the audio's data: URL lacks ;base64 before its comma; {data_url.EXPECTED}"
        )
    if not is_quoted:
        return decode_base64(_chunks(text, start))
    unquoted = data_url.unquote_chunks(text, start, QUOTED_CHUNK_CHARS)
    if not header.is_base64:
        return unquoted
    return decode_base64(chunk.decode("latin-1") for chunk in unquoted)


def _chunks(text: str, start: int) -> Iterator[str]:
    for at in range(start, len(text), CHUNK_CHARS):
        yield text[at : at + CHUNK_CHARS]


def decode_base64(chunks: Iterable[str]) -> Iterator[bytes]:
    """Yield the bytes of standard or URL-safe base64, wrapped or not, padded or not.

    Raises:
        InvalidAudio: it has any other character.
    """
    remaining = ""
    for chunk in chunks:
        chars = remaining + "".join(chunk.split())
        # Four are left for the end, where padding may be present or missing.
        num_now = max(0, (len(chars) - 4) // 4 * 4)
        remaining = chars[num_now:]
        yield _decode_unpadded(chars[:num_now])
    bare = remaining.rstrip("=")
    if len(remaining) - len(bare) not in {0, -len(bare) % 4}:
        raise _not_base64()
    yield _decode_unpadded(bare, "=" * (-len(bare) % 4))


def _decode_unpadded(chars: str, padding: str = "") -> bytes:
    """Return the bytes of `chars`, which must have no padding of its own."""
    if "=" in chars:
        raise _not_base64()
    standard = chars.replace("-", "+").replace("_", "/") + padding
    try:
        return pybase64.b64decode(standard, validate=True)
    except (binascii.Error, ValueError):
        raise _not_base64() from None


def _not_base64() -> InvalidAudio:
    return InvalidAudio("the audio's data is not valid base64")
