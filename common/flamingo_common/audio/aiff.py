"""AIFF and AIFF-C: the `COMM` chunk has the number of sample frames.

Pure.
"""

import struct
from itertools import islice

from flamingo_common.audio.clip_info import ClipInfo

FIRST_CHUNK = 12
MAX_CHUNKS = 1024
IMA4_SAMPLES = 64
"""Apple counts the packets of this codec, not their samples."""
EXPONENT_BIAS = 16_383
MANTISSA_BITS = 63


def is_aiff(head: bytes) -> bool:
    """Return whether `head` begins a FORM file of the type AIFF or AIFC."""
    return head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")


def parse(head: bytes, _total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose AIFF file begins with `head`."""
    at = FIRST_CHUNK
    for _ in islice(iter(int, None), MAX_CHUNKS):
        name, size = struct.unpack_from(">4sI", head, at)
        if name == b"COMM":
            return _clip_info(head[at + 8 : at + 8 + size])
        at += 8 + size + (size & 1)
    return None


def _clip_info(comm: bytes) -> ClipInfo | None:
    _, num_frames, _, exponent, mantissa = struct.unpack_from(">hIhHQ", comm)
    # An 80-bit float, as the Macintosh's coprocessor had it.
    rate_hz = mantissa * 2.0 ** ((exponent & 0x7FFF) - EXPONENT_BIAS - MANTISSA_BITS)
    if comm[18:22] == b"ima4":
        num_frames *= IMA4_SAMPLES
    return ClipInfo(num_frames / rate_hz, "exact", "aiff") if num_frames and rate_hz else None
