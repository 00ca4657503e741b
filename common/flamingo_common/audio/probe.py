"""The first bytes of an audio file → its length, without decoding any of it.

A router that reads the first 64 KiB of an upload knows the seconds of nearly
every clip: exactly where the header counts samples, closely
where it tells a bit rate, and by size where it tells nothing. A wrong answer
costs a little waiting; the pod, which decodes, decides what is true.

Each container's family has its file. A parser reads as if the header were whole
and well-formed; where it is not, `struct.error` or `IndexError` ends it and the
size alone decides. Every loop in them is bounded by the head's length.

Pure.
"""

import struct
from collections.abc import Callable

from flamingo_common.audio import flac, matroska, mp4, mpeg, ogg, wav
from flamingo_common.audio.clip_info import ClipInfo, clamp_to_plausible

HEAD_BYTES = 64 * 1024
"""More than this says no more: what is missing then is at the file's end."""

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
"""What a second of music usually takes. Wrong by format is what hurts: WAV and MP3 are 10 apart."""

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

    `total_bytes` is None while an upload of unknown length runs. None comes back
    when neither header nor size says anything. Never raises.
    """
    container = _container(head)
    parsed = _parsed(container, head[:HEAD_BYTES], total_bytes)
    return parsed or _by_size(container, total_bytes)


def _container(head: bytes) -> str:  # noqa: PLR0911 - a table of magic numbers
    """Return the container's family by its first bytes; no name or type is trusted."""
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


def _parsed(container: str, head: bytes, total_bytes: int | None) -> ClipInfo | None:
    if container not in PARSERS:
        return None
    try:
        clip = PARSERS[container](head, total_bytes)
    except (struct.error, IndexError):  # the header is cut or broken
        return None
    return clamp_to_plausible(clip, total_bytes) if clip else None


def _by_size(container: str, total_bytes: int | None) -> ClipInfo | None:
    if total_bytes is None:
        return None
    seconds = total_bytes / USUAL_BYTES_PER_S[container]
    return clamp_to_plausible(ClipInfo(seconds, "bytes", container), total_bytes)
