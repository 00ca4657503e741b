"""AU, also called SND: Sun's and NeXT's header of six numbers before the samples.

Pure.
"""

import struct

from flamingo_common.audio.clip_info import ClipInfo

UNKNOWN_SIZE = 0xFFFFFFFF
SAMPLE_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
"""By encoding: μ-law, integers of 8 to 32 bits, floats of 32 and 64, A-law."""


def parse(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose AU file begins with `head`."""
    start, size, encoding, rate_hz, num_channels = struct.unpack_from(">5I", head, 4)
    bytes_per_s = SAMPLE_BYTES.get(encoding, 0) * rate_hz * num_channels
    left = None if total_bytes is None else max(total_bytes - start, 0)
    if size == UNKNOWN_SIZE:
        size = left
    elif left is not None:
        size = min(size, left)
    return ClipInfo(size / bytes_per_s, "exact", "au") if size and bytes_per_s else None
