"""Containers whose length stands at their end: where to look for it, and what it says.

Ogg's last page knows it; MP4's `moov` does where it comes after the sound.

Pure.
"""

import struct

from flamingo_common.audio import mp4, ogg
from flamingo_common.audio.clip_info import ClipInfo, clamp_to_plausible

END_BYTES = 64 * 1024
"""No page of Ogg is longer; of a `moov`, the length comes first."""


def tail_offset(head: bytes, total_bytes: int) -> int | None:
    """Return from where a file that begins with `head` tells more; None if it does not."""
    if total_bytes <= len(head):
        return None
    try:
        at = max(total_bytes - END_BYTES, 0) if head[:4] == b"OggS" else mp4.moov_offset(head)
    except (struct.error, IndexError):  # the header is cut or broken
        return None
    return at if at is not None and at < total_bytes else None


def probe_tail(head: bytes, end: bytes, total_bytes: int) -> ClipInfo | None:
    """Return the clip, by its first bytes and those from `tail_offset`; None if they do not say."""
    try:
        parsed = ogg.parse_tail(head, end) if head[:4] == b"OggS" else mp4.parse(end, total_bytes)
    except (struct.error, IndexError):
        return None
    return clamp_to_plausible(parsed, total_bytes) if parsed else None
