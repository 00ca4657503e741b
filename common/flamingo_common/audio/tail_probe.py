"""Duration of containers that have it at the end of the file.

In Ogg it is on the last page; in MP4 in `moov`, which can come after the media data; in CAF in
the table of packets.

Pure.
"""

import struct

from flamingo_common.audio import sniff
from flamingo_common.audio.clip_info import ClipInfo, clamp_to_plausible

END_BYTES = 64 * 1024
"""How much to read: an Ogg page is never longer; in `moov`, the duration comes first."""
INVALID_HEADER = (struct.error, IndexError, ArithmeticError)


def tail_offset(head: bytes, total_bytes: int) -> int | None:
    """Return the offset to read from for the duration; None if reading the end does not help."""
    found = sniff.sniff_bytes(head)
    if total_bytes <= len(head) or found.format is None or found.format.tail is None:
        return None
    try:
        at = found.format.tail.offset(head[found.start :], total_bytes - found.start)
    except INVALID_HEADER:
        return None
    return found.start + at if at is not None and found.start + at < total_bytes else None


def probe_tail(head: bytes, end: bytes, total_bytes: int) -> ClipInfo | None:
    """Return the clip, from its first bytes and those at `tail_offset`; None if that fails."""
    found = sniff.sniff_bytes(head)
    if found.format is None or found.format.tail is None:
        return None
    try:
        parsed = found.format.tail.parse(head[found.start :], end)
    except INVALID_HEADER:
        return None
    return clamp_to_plausible(parsed, total_bytes) if parsed else None
