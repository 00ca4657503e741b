"""The WAV family: RIFF, RF64 and BW64 (over 4 GiB), and Sony's Wave64.

A streamed WAV has a data size of 0 or 0xFFFFFFFF; the audio is then the rest of the
file. Wave64 has the same chunks, with a GUID for a name and 64 bits for a size.

Pure.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from flamingo_common.audio.clip_info import ClipInfo, LengthSource

UNKNOWN_SIZES = (0, 0xFFFFFFFF, 2**64 - 1)
FIRST_CHUNK = 12
WAVE64_HEADER_BYTES = 24
"""GUID and size of a chunk; the size includes them."""
MAX_CHUNKS = 1024
PCM_TAGS = (1, 3)
COMPANDED_TAGS = (6, 7)
"""A-law and μ-law: one byte per sample."""
MS_ADPCM, IMA_ADPCM, MP3, EXTENSIBLE = 2, 0x11, 0x55, 0xFFFE
MAX_FACT_ERROR = 0.1
"""A `fact` chunk that differs more from the average bit rate is not believed."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """The `fmt ` chunk."""

    tag: int
    num_channels: int
    rate_hz: int
    bytes_per_s: int
    block_bytes: int
    samples_per_block: int
    """Of ADPCM; 0 if it is not stated."""

    def duration(self, data_bytes: int, fact_samples: int) -> tuple[float, LengthSource] | None:
        """Return the seconds that `data_bytes` take."""
        if not self.rate_hz:
            return None
        if self.tag in PCM_TAGS + COMPANDED_TAGS and self.block_bytes:
            return data_bytes / self.block_bytes / self.rate_hz, "exact"
        if self.tag in (MS_ADPCM, IMA_ADPCM) and self.block_bytes and self.samples_per_block:
            num_blocks = -(-data_bytes // self.block_bytes)
            num_samples = num_blocks * self.samples_per_block
            return min(num_samples, fact_samples or num_samples) / self.rate_hz, "exact"
        return self._by_average(data_bytes, fact_samples / self.rate_hz)

    def _by_average(self, data_bytes: int, fact_s: float) -> tuple[float, LengthSource] | None:
        if not self.bytes_per_s:
            return None
        seconds = data_bytes / self.bytes_per_s
        if abs(fact_s - seconds) < MAX_FACT_ERROR * seconds:
            return fact_s, "exact"
        return seconds, "estimate"


Chunk = tuple[bytes, int, int, int]
"""Name, offset and size of the body, and the offset of the next chunk."""


def is_wav(head: bytes) -> bool:
    """Return whether `head` begins a RIFF file of the form WAVE, or one of its relatives."""
    return head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE"


def parse(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose WAV file begins with `head`."""
    return _parse(head, _riff_chunks(head), total_bytes)


def parse_wave64(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose Wave64 file begins with `head`."""
    clip = _parse(head, _wave64_chunks(head), total_bytes)
    return ClipInfo(clip.seconds, clip.source, "w64") if clip else None


def _parse(head: bytes, chunks: Iterator[Chunk], total_bytes: int | None) -> ClipInfo | None:
    encoding, long_size, fact_samples, end = None, 0, 0, FIRST_CHUNK
    for name, body, size, following in islice(chunks, MAX_CHUNKS):
        match name:
            case b"ds64":
                (long_size,) = struct.unpack_from("<Q", head, body + 8)
            case b"fmt ":
                encoding = parse_encoding(head, body, size)
            case b"fact":
                (fact_samples,) = struct.unpack_from("<I", head, body)
            case b"data":
                data_bytes = long_size if size in UNKNOWN_SIZES and long_size else size
                return _clip_info(encoding, _left(data_bytes, body, total_bytes), fact_samples)
        end = following
    # Tags longer than the head precede the data.
    clip = _clip_info(encoding, _left(0, end, total_bytes), fact_samples)
    return ClipInfo(clip.seconds, "estimate", "wav") if clip else None


def _riff_chunks(head: bytes) -> Iterator[Chunk]:
    at = FIRST_CHUNK
    while at + 8 <= len(head):
        name, size = struct.unpack_from("<4sI", head, at)
        following = at + 8 + size + (size & 1)  # chunks start at even offsets
        yield name, at + 8, size, following
        at = following


def _wave64_chunks(head: bytes) -> Iterator[Chunk]:
    at = WAVE64_HEADER_BYTES + 16
    while at + WAVE64_HEADER_BYTES <= len(head):
        name, size = struct.unpack_from("<4s12xQ", head, at)
        following = at + max(-(-size // 8) * 8, WAVE64_HEADER_BYTES)
        yield name, at + WAVE64_HEADER_BYTES, max(size - WAVE64_HEADER_BYTES, 0), following
        at = following


def parse_encoding(head: bytes, at: int, size: int) -> Encoding:
    """Return the encoding in the `fmt ` chunk at `at`.

    WAVE_FORMAT_EXTENSIBLE has the same fields, and the tag at the beginning of a GUID. For
    PCM the block is used, since some writers omit the average.
    """
    fields = struct.unpack_from("<HHIIHH", head, at)
    tag, num_channels, rate_hz, average, block_bytes, _ = fields
    samples_per_block = 0
    if size >= 20:  # noqa: PLR2004 - the fields of ADPCM
        (samples_per_block,) = struct.unpack_from("<H", head, at + 18)
    if tag == EXTENSIBLE:
        (tag,) = struct.unpack_from("<H", head, at + 24)
    return Encoding(tag, num_channels, rate_hz, average, block_bytes, samples_per_block)


def _left(size: int, at: int, total_bytes: int | None) -> int | None:
    """Return the size of the audio: as declared, but at most what the file has left."""
    left = None if total_bytes is None else max(total_bytes - at, 0)
    if size in UNKNOWN_SIZES:
        return left
    return size if left is None else min(size, left)


def _clip_info(
    encoding: Encoding | None, data_bytes: int | None, fact_samples: int
) -> ClipInfo | None:
    if encoding is None or data_bytes is None:
        return None
    duration = encoding.duration(data_bytes, fact_samples)
    return ClipInfo(*duration, "wav") if duration else None
