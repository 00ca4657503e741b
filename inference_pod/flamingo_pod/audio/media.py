"""Turn a request's audio, however it was sent, into a memory file that a worker can open.

Audio comes as base64, as a `data:` URL, as an `http(s)` URL, or as a multipart file.
"""

import asyncio
import binascii
from collections.abc import Iterator

import pybase64

from flamingo_common.errors import InvalidAudio
from flamingo_common.wire.requests import AudioInput
from flamingo_pod.audio.fetch import Fetcher
from flamingo_pod.audio.memory_budget import COPIES_OF_JSON, Reservation
from flamingo_pod.audio.memory_file import MemoryFile

CHUNK_CHARS = 2**20
"""Decoding and writing a mebibyte of base64 takes half a millisecond of the event loop."""


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
    if not file.size:
        raise InvalidAudio("the audio is empty", param="audio")
    return file


def reserved_bytes(audio: AudioInput | MemoryFile, file: MemoryFile) -> int:
    """Return how many bytes were reserved for a clip while it was received."""
    text = "" if isinstance(audio, MemoryFile) else audio.data or audio.url or ""
    return max(file.size, COPIES_OF_JSON * len(text))


async def _file_of_input(
    audio: AudioInput, fetcher: Fetcher, reservation: Reservation
) -> MemoryFile:
    text = audio.data if audio.data is not None else audio.url
    assert text is not None  # AudioInput has exactly one of the two
    is_data_url = text.startswith("data:")
    if audio.url is not None and not is_data_url:
        return await fetcher.fetch(audio.url, reservation)
    start = _payload_start(text) if is_data_url else 0
    file = reservation.new_file()
    for chunk in decode_base64(text, start):
        file.write(chunk)
        await asyncio.sleep(0)  # let other requests run
    return file


def _payload_start(data_url: str) -> int:
    comma = data_url.find(",")
    if comma < 0 or not data_url.endswith(";base64", 0, comma):
        raise InvalidAudio(
            "the audio's data: URL is not base64-encoded; it must look like data:audio/…;base64,…"
        )
    return comma + 1


def decode_base64(text: str, start: int = 0) -> Iterator[bytes]:
    """Yield the bytes of standard or URL-safe base64, wrapped or not, padded or not.

    In chunks, so that a long clip is in memory once as text and once as bytes.

    Raises:
        InvalidAudio: it has any other character.
    """
    remaining = ""
    for at in range(start, len(text), CHUNK_CHARS):
        chars = remaining + "".join(text[at : at + CHUNK_CHARS].split())
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
