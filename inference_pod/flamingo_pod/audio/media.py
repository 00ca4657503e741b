"""Wherever a request puts its audio → a file in memory that a worker can open.

Four ways in, one way out: base64, `data:` URL, `http(s)` URL, multipart file.
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

PIECE_CHARS = 2**20
"""Decoding a mebibyte of base64 and writing it takes half a millisecond of the event loop."""


async def clip_file(
    audio: AudioInput | MemoryFile, fetcher: Fetcher, holding: Reservation
) -> MemoryFile:
    """Return the clip's file, not yet decoded.

    Raises:
        InvalidAudio: not base64, or empty.
        MediaFetchFailed: the URL cannot be fetched.
        Overloaded: what is fetched is more than may be held.
    """
    file = audio if isinstance(audio, MemoryFile) else await _named(audio, fetcher, holding)
    if not file.size:
        raise InvalidAudio("the audio is empty", param="audio")
    return file


def held_bytes(audio: AudioInput | MemoryFile, file: MemoryFile) -> int:
    """Return how much was counted for a clip while it came."""
    text = "" if isinstance(audio, MemoryFile) else audio.data or audio.url or ""
    return max(file.size, COPIES_OF_JSON * len(text))


async def _named(audio: AudioInput, fetcher: Fetcher, holding: Reservation) -> MemoryFile:
    text = audio.data if audio.data is not None else audio.url
    assert text is not None  # AudioInput has exactly one of the two
    is_data_url = text.startswith("data:")
    if audio.url is not None and not is_data_url:
        return await fetcher.fetch(audio.url, holding)
    start = _payload_start(text) if is_data_url else 0
    file = holding.file()
    for piece in decode_base64(text, start):
        file.write(piece)
        await asyncio.sleep(0)  # others' turn
    return file


def _payload_start(data_url: str) -> int:
    comma = data_url.find(",")
    if comma < 0 or not data_url.endswith(";base64", 0, comma):
        raise InvalidAudio("a data: URL of audio must be data:audio/…;base64,…")
    return comma + 1


def decode_base64(text: str, start: int = 0) -> Iterator[bytes]:
    """Yield the bytes of standard or URL-safe base64, wrapped or not, padded or not.

    In pieces, so that a long clip is in memory once as text and once as bytes.

    Raises:
        InvalidAudio: any other character in it.
    """
    left = ""
    for at in range(start, len(text), PIECE_CHARS):
        chars = left + "".join(text[at : at + PIECE_CHARS].split())
        # Four are kept for the end, where padding may be, or may be missing.
        num_now = max(0, (len(chars) - 4) // 4 * 4)
        left = chars[num_now:]
        yield _strict(chars[:num_now])
    bare = left.rstrip("=")
    if len(left) - len(bare) not in {0, -len(bare) % 4}:
        raise _not_base64()
    yield _strict(bare, "=" * (-len(bare) % 4))


def _strict(chars: str, padding: str = "") -> bytes:
    """Return the bytes of `chars`, in which no padding may be."""
    if "=" in chars:
        raise _not_base64()
    standard = chars.replace("-", "+").replace("_", "/") + padding
    try:
        return pybase64.b64decode(standard, validate=True)
    except (binascii.Error, ValueError):
        raise _not_base64() from None


def _not_base64() -> InvalidAudio:
    return InvalidAudio("the audio's data is not valid base64")
