"""WavPack: every block has the number of samples of the whole file, and the sample rate.

Pure.
"""

import struct

from flamingo_common.audio.clip_info import ClipInfo

RATES_HZ = (
    6000, 8000, 9600, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200,
    96000, 192000,
)  # fmt: skip
"""By the index in the flags; 15 is another rate, which is stated further on."""
UNKNOWN_SAMPLES = 0xFFFFFFFF
HEADER_BYTES = 32
MAX_PARTS = 64
"""Parts of a block's metadata to look through for the sample rate."""
RATE_ID = 0x27


def parse(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose WavPack file begins with `head`."""
    block_bytes, num_high_bits, num_samples, block_samples, flags = struct.unpack_from(
        "<4xI3xBI4xII", head
    )
    rate_hz = _rate_hz(head, flags)
    if not rate_hz:
        return None
    if num_samples != UNKNOWN_SAMPLES:
        # 40 bits, of which the value with all 32 lower bits set is left out.
        all_samples = num_samples + (num_high_bits << 32) - num_high_bits
        return ClipInfo(all_samples / rate_hz, "exact", "wavpack")
    if total_bytes is None or not block_samples:
        return None
    seconds_per_byte = block_samples / rate_hz / (block_bytes + 8)
    return ClipInfo(total_bytes * seconds_per_byte, "estimate", "wavpack")


def _rate_hz(head: bytes, flags: int) -> int:
    index = flags >> 23 & 0xF
    if index < len(RATES_HZ):
        return RATES_HZ[index]
    at = HEADER_BYTES
    for _ in range(MAX_PARTS):
        kind, num_words = head[at], head[at + 1]
        size_bytes = 1
        if kind & 0x80:  # a large part
            num_words, size_bytes = int.from_bytes(head[at + 1 : at + 4], "little"), 3
        at += 1 + size_bytes
        if kind & 0x3F == RATE_ID:
            return int.from_bytes(head[at : at + 3], "little")
        at += 2 * num_words
    return 0
