"""Find FLAC frames in damaged data, and read the position that each has in its header.

FFmpeg's parser returns everything around a damaged place as one packet without a timestamp.

Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass

SYNC = b"\xff\xf8", b"\xff\xf9"
"""The first bytes of a frame, of fixed and of variable block size."""
MIN_HEADER_BYTES = 6
MAX_HEADER_BYTES = 16
LONG_RATES = {12: 1, 13: 2, 14: 2}
"""Additional bytes of the header, by the code of the sample rate."""
LONG_SIZES = {6: 1, 7: 2}
"""Additional bytes of the header, by the code of the block size."""
CRC8_POLYNOMIAL = 0x07


@dataclass(frozen=True, slots=True)
class FoundFrame:
    """A frame with a valid header; its data may be damaged."""

    data: bytes
    """From its header to that of the next frame."""
    is_numbered_by_sample: bool
    number: int
    """The number of its first sample, or of the frame in a stream of fixed block size."""

    def first_sample(self, block_samples: int) -> int:
        """Return the position of the frame's first sample."""
        return self.number if self.is_numbered_by_sample else self.number * block_samples


def split(data: bytes) -> list[FoundFrame]:
    """Return the frames in `data`; what precedes the first header is left out."""
    starts = list(_headers(data))
    ends = [*(at for at, _, _ in starts), len(data)][1:]
    return [
        FoundFrame(data[at:end], is_numbered_by_sample, number)
        for (at, is_numbered_by_sample, number), end in zip(starts, ends, strict=True)
    ]


def _headers(data: bytes) -> Iterator[tuple[int, bool, int]]:
    """Yield the offset of each valid header, its kind of number and the number."""
    at = -1
    while (at := data.find(b"\xff", at + 1)) >= 0:
        header = data[at : at + MAX_HEADER_BYTES]
        if header[:2] in SYNC and (number := _number(header)) is not None:
            yield at, header[:2] == SYNC[1], number


def _number(header: bytes) -> int | None:
    """Return the number in a header; None if the header is not valid."""
    if len(header) < MIN_HEADER_BYTES:
        return None
    num_ones = _leading_ones(header[4])
    num_bytes = max(num_ones, 1)
    end = 4 + num_bytes + LONG_SIZES.get(header[2] >> 4, 0) + LONG_RATES.get(header[2] & 15, 0)
    if num_ones in (1, 8) or end >= len(header) or _crc8(header[: end + 1]):
        return None
    number = header[4] & (0x7F >> num_ones)
    for byte in header[5 : 4 + num_bytes]:
        number = number << 6 | byte & 0x3F
    return number


def _leading_ones(byte: int) -> int:
    return 8 - (byte ^ 0xFF).bit_length()


def _crc8(data: bytes) -> int:
    """Return the checksum; 0 for data that ends in its own."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) & 0xFF ^ (CRC8_POLYNOMIAL if crc & 0x80 else 0)
    return crc
