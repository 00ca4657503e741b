"""Duration of containers that have it at the end of the file.

In Ogg it is on the last page; in MP4 in `moov`, which can come after the media data.

Pure.
"""

import struct

from flamingo_common.audio import mp4, ogg
from flamingo_common.audio.clip_info import ClipInfo, clamp_to_plausible

END_BYTES = 64 * 1024
"""An Ogg page is never longer; in `moov`, the duration comes first."""


def tail_offset(head: bytes, total_bytes: int) -> int | None:
    """Return the offset to read from for the duration; None if reading the end does not help."""
    if total_bytes <= len(head):
        return None
    try:
        at = max(total_bytes - END_BYTES, 0) if head[:4] == b"OggS" else mp4.moov_offset(head)
    except (struct.error, IndexError):  # the header is truncated or corrupt
        return None
    return at if at is not None and at < total_bytes else None


def probe_tail(head: bytes, end: bytes, total_bytes: int) -> ClipInfo | None:
    """Return the clip, from its first bytes and those at `tail_offset`; None if that fails."""
    try:
        parsed = ogg.parse_tail(head, end) if head[:4] == b"OggS" else mp4.parse(end, total_bytes)
    except (struct.error, IndexError):
        return None
    return clamp_to_plausible(parsed, total_bytes) if parsed else None
