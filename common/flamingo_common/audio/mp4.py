"""MP4 and M4A: the `moov` box has the duration; it can come after the media data.

Pure.
"""

import struct
from collections.abc import Iterator
from itertools import islice

from flamingo_common.audio.clip_info import ClipInfo

FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"uuid"})
MAX_FIRST_BOX_BYTES = 2**29
"""A larger one is text: "The free …" has the type of a box at the same place."""
MAX_BOXES = 256
AAC_BYTES_PER_S = 16_000
UNKNOWN_DURATIONS = (0, 2**32 - 1, 2**64 - 1)

Box = tuple[bytes, int, int]
"""Type, and the offsets of the body's start and end."""


def is_mp4(head: bytes) -> bool:
    """Return whether `head` begins with a box; QuickTime files need not begin with `ftyp`."""
    size = int.from_bytes(head[:4], "big")
    return head[4:8] in FIRST_BOXES and (size in (0, 1) or 8 <= size < MAX_FIRST_BOX_BYTES)  # noqa: PLR2004


def parse(head: bytes, _total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose MP4 file begins with `head`; by its size if `moov` comes later."""
    media_bytes = 0
    for kind, start, end in _boxes(head, 0, len(head)):
        if kind == b"moov":
            seconds = _seconds(head, start, end)
            # A fragmented file has no duration here, and its `mdat` is only one fragment.
            return None if seconds is None else ClipInfo(seconds, "exact", "mp4")
        if kind == b"mdat":
            media_bytes = end - start
    return ClipInfo(media_bytes / AAC_BYTES_PER_S, "bytes", "mp4") if media_bytes else None


def moov_offset(head: bytes) -> int | None:
    """Return the offset of `moov`, after the boxes in `head`; None if it is in `head`."""
    at = 0
    for kind, _, end in _boxes(head, 0, len(head)):
        if kind == b"moov":
            return None
        at = end
    return at if at >= len(head) else None


def _boxes(head: bytes, start: int, stop: int) -> Iterator[Box]:
    return islice(_all_boxes(head, start, min(stop, len(head))), MAX_BOXES)


def _all_boxes(head: bytes, at: int, stop: int) -> Iterator[Box]:
    while at + 8 <= stop:
        size, kind = struct.unpack_from(">I4s", head, at)
        body = at + 8
        if size == 1:  # a 64-bit size follows
            (size,) = struct.unpack_from(">Q", head, body)
            body += 8
        end = at + size if size else stop  # 0: to the end of the file
        if end < body:
            return
        yield kind, body, end
        at = end


def _seconds(head: bytes, start: int, end: int) -> float | None:
    """Return the duration in a `moov` box, whose end can be past the head."""
    timescale, duration = 0, 0
    for kind, at, stop in _boxes(head, start, end):
        if kind == b"mvhd":
            timescale, duration = _times(head, at)
        if kind == b"mvex" and duration in UNKNOWN_DURATIONS:
            duration = _fragments_duration(head, at, stop)
    if not timescale or duration in UNKNOWN_DURATIONS:
        return None
    return duration / timescale


def _times(head: bytes, at: int) -> tuple[int, int]:
    """Return timescale and duration of an `mvhd` box; in version 1 its dates are 64-bit."""
    timescale, duration = (
        struct.unpack_from(">IQ", head, at + 20)
        if head[at] == 1
        else struct.unpack_from(">II", head, at + 12)
    )
    return timescale, duration


def _fragments_duration(head: bytes, start: int, end: int) -> int:
    """Return the duration of all fragments, from `mehd`; 0 without one."""
    for kind, at, _ in _boxes(head, start, end):
        if kind == b"mehd":
            form = ">Q" if head[at] == 1 else ">I"
            return int(struct.unpack_from(form, head, at + 4)[0])
    return 0
