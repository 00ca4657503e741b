"""Duration of an audio file from its first bytes, without decoding it.

From the first 64 KiB of an upload the router knows the duration of nearly every clip:
exactly where the header has the number of samples, closely where it has a bit rate, and
roughly by file size otherwise. A wrong value only makes the load balancing less accurate;
the pod decodes the clip and applies the limits.

Each container family has its module. A parser assumes a complete, well-formed header;
otherwise it ends with `struct.error` or `IndexError` and the file size decides. Every
loop in a parser is bounded by the length of the head.

Pure.
"""

import struct
from collections.abc import Callable

from flamingo_common.audio import flac, matroska, mp4, mpeg, ogg, wav
from flamingo_common.audio.clip_info import ClipInfo, clamp_to_plausible

HEAD_BYTES = 64 * 1024
"""More bytes do not help: what is still missing is at the end of the file."""

Parser = Callable[[bytes, int | None], ClipInfo | None]

USUAL_BYTES_PER_S = {
    "wav": 176_400,  # CD: 44.1 kHz, 16 bit, stereo
    "aiff": 176_400,
    "flac": 100_000,
    "mp3": 20_000,
    "aac": 16_000,
    "mp4": 16_000,
    "ogg": 14_000,
    "webm": 12_000,
    "unknown": 16_000,
}
"""Usual bytes per second of music; WAV and MP3 differ by a factor of 10."""

PARSERS: dict[str, Parser] = {
    "wav": wav.parse,
    "flac": flac.parse,
    "mp3": mpeg.parse_mp3,
    "aac": mpeg.parse_adts,
    "mp4": mp4.parse,
    "ogg": ogg.parse,
    "webm": matroska.parse,
}


def probe(head: bytes, *, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose file begins with `head` and is `total_bytes` long in all.

    `total_bytes` is None for an upload of unknown length. Returns None if neither the
    header nor the size gives a duration. Never raises.
    """
    container = _detect_container(head)
    parsed = _parse_header(container, head[:HEAD_BYTES], total_bytes)
    return parsed or _guess_by_size(container, total_bytes)


def _detect_container(head: bytes) -> str:  # noqa: PLR0911 - a table of magic numbers
    """Return the container family by magic number; file names and media types are ignored."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:4] == matroska.MAGIC:
        return "webm"
    if head[4:8] in mp4.FIRST_BOXES:
        return "mp4"
    audio = head[mpeg.audio_offset(head) :]
    if audio[:4] == b"fLaC":
        return "flac"
    if mpeg.is_adts(audio):
        return "aac"
    return "mp3" if head[:3] == b"ID3" or mpeg.has_frames(audio) else "unknown"


def _parse_header(container: str, head: bytes, total_bytes: int | None) -> ClipInfo | None:
    if container not in PARSERS:
        return None
    try:
        clip = PARSERS[container](head, total_bytes)
    except (struct.error, IndexError):  # the header is truncated or corrupt
        return None
    return clamp_to_plausible(clip, total_bytes) if clip else None


def _guess_by_size(container: str, total_bytes: int | None) -> ClipInfo | None:
    if total_bytes is None:
        return None
    seconds = total_bytes / USUAL_BYTES_PER_S[container]
    return clamp_to_plausible(ClipInfo(seconds, "bytes", container), total_bytes)
