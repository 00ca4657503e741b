"""Ogg: Vorbis, Opus and FLAC in pages, each with the position of its last sample.

The duration is the position of the last page, which the head does not have. The
estimate is the bit rate of the head's *audio* pages (without Vorbis codebooks and
cover art), applied to the rest of the file.

Pure.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from flamingo_common.audio import flac
from flamingo_common.audio.clip_info import ClipInfo

PAGE_HEADER_BYTES = 27
MAX_PAGE_BYTES = 64 * 1024
FIRST_PAGE = b"OggS\0\x02"
"""Version 0, and the flag of a stream's first page."""
MAX_FIRST_PAGE_BYTES = 4096
"""It has one packet, the identification header; FLAC's is the longest with 51 bytes."""
OPUS_RATE_HZ = 48_000
"""Opus positions count 48 kHz samples, whatever the input's rate was."""
FIRST_PACKET = slice(0, 128)
SERIAL = slice(14, 18)
"""Of a stream; each link of a chain has its own."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page that ends a packet."""

    end: int
    """Offset of the next page."""
    granule: int
    """Samples from the start to this page's end."""


def parse(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose Ogg file begins with `head`."""
    rate_hz, skip = _rate(head)
    pages = [page for page in _pages(head) if page.granule > 0]
    if not rate_hz or not pages or total_bytes is None:
        return None
    last = pages[-1]
    played_s = (last.granule - skip) / rate_hz
    if last.end >= total_bytes:
        return ClipInfo(played_s, "exact", "ogg")
    bytes_per_s = _bytes_per_s(pages, rate_hz)
    if bytes_per_s is None:
        return None
    return ClipInfo(played_s + (total_bytes - last.end) / bytes_per_s, "estimate", "ogg")


def tail_offset(_head: bytes, total_bytes: int) -> int:
    """Return an offset from which the last page is read in whole."""
    return max(total_bytes - MAX_PAGE_BYTES, 0)


def parse_tail(head: bytes, end: bytes) -> ClipInfo | None:
    """Return the clip whose file begins with `head` and whose last page starts in `end`."""
    rate_hz, skip = _rate(head)
    at = end.rfind(b"OggS")
    if not rate_hz or at < 0 or end[SERIAL.start + at : SERIAL.stop + at] != head[SERIAL]:
        return None  # the end of another stream, or of the last link of a chain
    (granule,) = struct.unpack_from("<q", end, at + 6)
    return ClipInfo((granule - skip) / rate_hz, "exact", "ogg")


def last_position(end: bytes) -> int:
    """Return the position of the last page that starts in `end`; -1 if none does."""
    at = end.rfind(b"OggS\0")
    if at < 0 or at + PAGE_HEADER_BYTES > len(end):
        return -1
    return int(struct.unpack_from("<q", end, at + 6)[0])


def first_page_bytes(page: bytes) -> int:
    """Return the size of the first page of a stream that `page` begins with; 0 if it is not one.

    The same bytes can occur in the middle of compressed audio, so the checksum is compared.
    """
    if len(page) < PAGE_HEADER_BYTES or not page.startswith(FIRST_PAGE):
        return 0
    lacing = page[PAGE_HEADER_BYTES : PAGE_HEADER_BYTES + page[26]]
    size = PAGE_HEADER_BYTES + len(lacing) + sum(lacing)
    if size > len(page):
        return 0
    blanked = page[:22] + bytes(4) + page[26:size]
    return size if checksum(blanked).to_bytes(4, "little") == page[22:26] else 0


def checksum(page: bytes) -> int:
    """Return the checksum of a page, whose field for it is zero."""
    value = 0
    for byte in page:
        value = value << 8 & 0xFFFFFFFF ^ CHECKSUMS[value >> 24 ^ byte]
    return value


def _checksum_of(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = value << 1 ^ (0x104C11DB7 if value & 0x80000000 else 0)
    return value


CHECKSUMS = tuple(map(_checksum_of, range(256)))


def _rate(head: bytes) -> tuple[int, int]:
    """Return granules per second, and the number of granules to skip at the start."""
    start = head[FIRST_PACKET]
    at = start.find(b"OpusHead")
    if at >= 0:
        return OPUS_RATE_HZ, int(struct.unpack_from("<H", head, at + 10)[0])
    at = start.find(b"\x01vorbis")
    if at >= 0:
        return int(struct.unpack_from("<I", head, at + 12)[0]), 0
    at = start.find(b"fLaC")
    return (flac.rate_hz(head, at), 0) if at >= 0 else (0, 0)


def _pages(head: bytes) -> Iterator[Page]:
    at, has_audio = 0, False
    while head[at : at + 4] == b"OggS" and at + PAGE_HEADER_BYTES <= len(head):
        if has_audio and head[at : at + 6] == FIRST_PAGE:
            return  # the next link of a chain
        (granule,) = struct.unpack_from("<q", head, at + 6)
        has_audio |= granule > 0
        lacing = head[at + PAGE_HEADER_BYTES : at + PAGE_HEADER_BYTES + head[at + 26]]
        at += PAGE_HEADER_BYTES + len(lacing) + sum(lacing)
        yield Page(at, granule)  # the page can end past the head


def _bytes_per_s(pages: list[Page], rate_hz: int) -> float | None:
    """Return the mean rate of the pages after the first one, which follows the headers."""
    first, last = pages[0], pages[-1]
    if len(pages) == 1:
        first = Page(0, 0)
    if last.granule <= first.granule:
        return None
    return (last.end - first.end) * rate_hz / (last.granule - first.granule)
