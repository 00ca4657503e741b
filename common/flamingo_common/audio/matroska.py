"""WebM and Matroska: `Segment` / `Info` / `Duration`, which live recordings leave out.

Pure.
"""

import struct
from collections.abc import Iterator
from itertools import islice

from flamingo_common.audio.clip_info import ClipInfo

MAGIC = b"\x1a\x45\xdf\xa3"
SEGMENT = 0x18538067
INFO = 0x1549A966
TIMESTAMP_SCALE = 0x2AD7B1
DURATION = 0x4489
DEFAULT_SCALE_NS = 1_000_000
MAX_ELEMENTS = 256
FLOATS = {4: ">f", 8: ">d"}

Element = tuple[int, int, int]
"""ID, and the offsets of the body's start and end."""


def parse(head: bytes, _total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose WebM file begins with `head`; None without a duration."""
    for segment, start, end in _elements(head, 0, len(head)):
        if segment != SEGMENT:
            continue
        for kind, info_start, info_end in _elements(head, start, end):
            if kind == INFO:
                return _parse_info(head, info_start, info_end)
    return None


def _parse_info(head: bytes, start: int, end: int) -> ClipInfo | None:
    scale_ns, duration = DEFAULT_SCALE_NS, None
    for kind, at, stop in _elements(head, start, end):
        if kind == TIMESTAMP_SCALE:
            scale_ns = int.from_bytes(head[at : min(stop, at + 8)], "big")
        if kind == DURATION and stop - at in FLOATS:
            (duration,) = struct.unpack_from(FLOATS[stop - at], head, at)
    return ClipInfo(duration * scale_ns / 1e9, "exact", "webm") if duration else None


def _elements(head: bytes, start: int, stop: int) -> Iterator[Element]:
    return islice(_all_elements(head, start, min(stop, len(head))), MAX_ELEMENTS)


def _all_elements(head: bytes, at: int, stop: int) -> Iterator[Element]:
    while at + 2 <= stop:
        id_bytes = _width(head[at])
        kind = int.from_bytes(head[at : at + id_bytes], "big")
        at += id_bytes
        size_bytes = _width(head[at])
        size = int.from_bytes(head[at : at + size_bytes], "big") & ~(1 << 7 * size_bytes)
        at += size_bytes
        is_open_ended = size == (1 << 7 * size_bytes) - 1  # the Segment of a live stream
        end = stop if is_open_ended else at + size
        yield kind, at, end
        at = end


def _width(first: int) -> int:
    """Return the size in bytes of a variable-length integer: its leading zero bits, plus one."""
    return 9 - first.bit_length()
