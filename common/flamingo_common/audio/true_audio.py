"""True Audio (TTA): the header has the number of samples.

Pure.
"""

import struct

from flamingo_common.audio.clip_info import ClipInfo


def parse(head: bytes, _total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose TTA file begins with `head`."""
    rate_hz, num_samples = struct.unpack_from("<II", head, 10)
    return ClipInfo(num_samples / rate_hz, "exact", "tta") if num_samples and rate_hz else None
