"""WAV: a RIFF (or, over 4 GiB, RF64) file of PCM samples.

A streamed WAV has a data size of 0 or 0xFFFFFFFF; the audio is then the rest of the
file.

Pure.
"""

import struct

from flamingo_common.audio.clip_info import ClipInfo, LengthSource

UNKNOWN_SIZES = (0, 0xFFFFFFFF)
FIRST_CHUNK = 12


def parse(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose WAV file begins with `head`."""
    bytes_per_s, long_size, at = 0, None, FIRST_CHUNK
    while at + 8 <= len(head):
        kind, size = struct.unpack_from("<4sI", head, at)
        body = at + 8
        match kind:
            case b"ds64":
                (long_size,) = struct.unpack_from("<Q", head, body + 8)
            case b"fmt ":
                bytes_per_s = _bytes_per_s(head, body)
            case b"data":
                size = long_size if size in UNKNOWN_SIZES and long_size else size
                return _clip_info(_data_bytes(size, body, total_bytes), bytes_per_s, "exact")
        at = body + size + (size & 1)  # chunks start at even offsets
    # Tags longer than the head precede the data.
    return _clip_info(_data_bytes(0, at, total_bytes), bytes_per_s, "estimate")


def _bytes_per_s(head: bytes, at: int) -> int:
    """Return the bytes of one second, from the `fmt ` chunk at `at`.

    WAVE_FORMAT_EXTENSIBLE has the same fields. For PCM the value is computed, since some
    writers omit the average; block codecs (ADPCM) have only the average.
    """
    tag, _, rate_hz, average, block, bits = struct.unpack_from("<HHIIHH", head, at)
    is_adpcm = tag not in (1, 3, 0xFFFE) or bits == 0
    return int(average) if is_adpcm else int(rate_hz * block)


def _data_bytes(size: int, at: int, total_bytes: int | None) -> int | None:
    """Return the size of the audio: as declared, but at most what the file has left."""
    left = None if total_bytes is None else max(total_bytes - at, 0)
    if size in UNKNOWN_SIZES:
        return left
    return size if left is None else min(size, left)


def _clip_info(data_bytes: int | None, bytes_per_s: int, source: LengthSource) -> ClipInfo | None:
    if data_bytes is None or not bytes_per_s:
        return None
    return ClipInfo(data_bytes / bytes_per_s, source, "wav")
