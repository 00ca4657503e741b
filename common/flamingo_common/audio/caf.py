"""CAF, Apple's Core Audio Format: its description has the size of a packet, or `pakt` the length.

Pure.
"""

import struct

from flamingo_common.audio.clip_info import ClipInfo

FIRST_CHUNK = 8
MAX_CHUNKS = 1024
UNKNOWN_SIZE = -1
"""Of the `data` chunk of a recording in progress."""
EDIT_COUNT_BYTES = 4
"""Before the audio in the `data` chunk."""


def parse(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose CAF file begins with `head`."""
    rate_hz, packet_bytes, packet_samples, at = 0.0, 0, 0, FIRST_CHUNK
    for _ in range(MAX_CHUNKS):
        name, size = struct.unpack_from(">4sq", head, at)
        body = at + 12
        match name:
            case b"desc":
                rate_hz, packet_bytes, packet_samples = struct.unpack_from(">d8xII", head, body)
            case b"pakt" if rate_hz:
                (num_samples,) = struct.unpack_from(">q", head, body + 8)
                return ClipInfo(num_samples / rate_hz, "exact", "caf")
            case b"data" if packet_bytes and rate_hz:
                num_bytes = _data_bytes(size, body, total_bytes)
                if num_bytes is None:
                    return None
                samples = num_bytes // packet_bytes * packet_samples
                return ClipInfo(samples / rate_hz, "exact", "caf")
        if size < 0:
            return None
        at = body + size
    return None


def _data_bytes(size: int, body: int, total_bytes: int | None) -> int | None:
    left = None if total_bytes is None else max(total_bytes - body, 0)
    declared = left if size == UNKNOWN_SIZE else size if left is None else min(size, left)
    return None if declared is None else max(declared - EDIT_COUNT_BYTES, 0)


def pakt_offset(head: bytes) -> int | None:
    """Return the offset of what follows the audio, where a variable bit rate has its length."""
    at = FIRST_CHUNK
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(head):
            return at
        name, size = struct.unpack_from(">4sq", head, at)
        has_packets = name == b"desc" and struct.unpack_from(">d8xI", head, at + 12)[1]
        if name == b"pakt" or has_packets or size < 0:
            return None
        at += 12 + size
    return None


def parse_tail(head: bytes, end: bytes) -> ClipInfo | None:
    """Return the clip whose file begins with `head`, and whose last chunks begin with `end`."""
    (rate_hz,) = struct.unpack_from(">d", head, FIRST_CHUNK + 12)
    at = 0
    for _ in range(MAX_CHUNKS):
        name, size = struct.unpack_from(">4sq", end, at)
        if name == b"pakt":
            (num_samples,) = struct.unpack_from(">q", end, at + 20)
            return ClipInfo(num_samples / rate_hz, "exact", "caf") if rate_hz else None
        at += 12 + max(size, 0)
    return None
