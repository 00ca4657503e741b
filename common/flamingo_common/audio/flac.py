"""FLAC: STREAMINFO has the number of samples, unless the encoder could not seek back.

Pure.
"""

import struct

from flamingo_common.audio.clip_info import ClipInfo

USUAL_RATIO = 0.6
"""Compressed size ÷ raw size, for music (50-70 % according to flac's documentation)."""


def parse(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose FLAC file begins with `head`."""
    packed = _stream_info(head, 0)
    rate, num_samples = packed >> 44, packed & (2**36 - 1)
    if not rate:
        return None
    if num_samples:
        return ClipInfo(num_samples / rate, "exact", "flac")
    if total_bytes is None:
        return None
    num_channels, num_bits = (packed >> 41 & 0x7) + 1, (packed >> 36 & 0x1F) + 1
    bytes_per_s = rate * num_channels * num_bits / 8 * USUAL_RATIO
    return ClipInfo(total_bytes / bytes_per_s, "estimate", "flac")


def rate_hz(head: bytes, at: int) -> int:
    """Return the sample rate of the stream whose `fLaC` marker is at `at`."""
    return _stream_info(head, at) >> 44


def _stream_info(head: bytes, at: int) -> int:
    """Return 64 bits of STREAMINFO: 20 rate, 3 channels - 1, 5 bits - 1, 36 samples.

    They follow the marker (4 bytes), a block header (4), block and frame sizes (10).
    """
    return int(struct.unpack_from(">Q", head, at + 18)[0])
