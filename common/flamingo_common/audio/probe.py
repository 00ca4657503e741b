"""Duration of an audio file from its first bytes, without decoding it.

From the first 64 KiB of an upload the router knows the duration of nearly every clip:
exactly where the header has the number of samples, closely where it has a bit rate, and
roughly by file size otherwise. A wrong value only makes the load balancing less accurate;
the pod decodes the clip and applies the limits.

Each container family has its module, which the table in `formats.py` names. A parser assumes
a complete, well-formed header; otherwise it ends with `struct.error` or `IndexError` and the
file size decides. Every loop in a parser is bounded.

Pure.
"""

import struct

from flamingo_common.audio import formats, sniff
from flamingo_common.audio.clip_info import ClipInfo, clamp_to_plausible
from flamingo_common.audio.formats import Format

HEAD_BYTES = 64 * 1024
"""More bytes do not help: what is still missing is at the end of the file."""
UNKNOWN = "unknown"


def probe(head: bytes, *, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose file begins with `head` and is `total_bytes` long in all.

    `total_bytes` is None for an upload of unknown length. Returns None if neither the
    header nor the size gives a duration. Never raises.
    """
    head = head[:HEAD_BYTES]
    found = sniff.sniff_bytes(head)
    audio_bytes = None if total_bytes is None else max(total_bytes - found.start, 0)
    kind = found.format
    if kind is None and found.start >= len(head) > 0:
        kind = formats.BY_KEY["mp3"]  # behind cover art that exceeds the head
    parsed = kind and _parse_header(kind, head[found.start :], audio_bytes)
    return parsed or _guess_by_size(kind, audio_bytes)


def _parse_header(kind: Format, head: bytes, total_bytes: int | None) -> ClipInfo | None:
    try:
        clip = kind.parse(head, total_bytes)
    except (struct.error, IndexError, ArithmeticError):  # the header is truncated or corrupt
        return None
    return clamp_to_plausible(clip, total_bytes) if clip else None


def _guess_by_size(kind: Format | None, total_bytes: int | None) -> ClipInfo | None:
    if total_bytes is None:
        return None
    key, bytes_per_s = UNKNOWN, formats.UNKNOWN_BYTES_PER_S
    if kind is not None:
        key, bytes_per_s = kind.key, kind.usual_bytes_per_s
    return clamp_to_plausible(ClipInfo(total_bytes / bytes_per_s, "bytes", key), total_bytes)
