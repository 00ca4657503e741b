"""How many bytes of a file were skipped between two packets.

FFmpeg skips what it cannot parse, and after that it does not always report the right places of
packets. So packets of formats without a table of contents are looked up in the file.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

ReadAt = Callable[[int, int], bytes]
"""Returns so many bytes at an offset; fewer at the end of the file."""

WINDOW_BYTES = 2**18
PACKETS_PER_CHECK = 8
SAMPLE_BYTES = 2048, 48
"""Of a packet, to recognize it by: all of an MP3 frame, as frames of silence are equal up to where
one is damaged. Fewer if those are not found."""
MAX_JUNK_BYTES = 2**24
"""Of skipped data, to look for tags in."""
TAGS = re.compile(rb"ID3[\x02-\x04][\x00-\x0f].[\x00-\x7f]{4}|^TAG|APETAGEX|LYRICSBEGIN", re.DOTALL)
"""What follows one MP3, or precedes the next one in the same file."""
PAGE_HEADER = struct.Struct("<4sxBqII4xB")
"""Marker, flags, position, serial number, page number and number of segments; without CRC."""
LAST_PAGE = 4
"""The flag of a stream's last page."""
MAX_HEADER_PAGES = 4096


class LostBytes(Protocol):
    """The data of one file that no packet holds."""

    def add(self, packet: Any) -> None:
        """Go past a packet that was decoded."""

    def before(self, packet: Any) -> int:
        """Return how many bytes were skipped between the last decoded packet and this one."""

    def after_last(self, file_bytes: int) -> int:
        """Return how many bytes follow the last decoded packet, as far as they should be audio."""

    @property
    def end(self) -> int:
        """Where the last decoded packet ends; 0 if that is not known."""


class SearchedBytes:
    """For MP3, AAC and FLAC: a packet is where its first bytes are found."""

    def __init__(self, read_at: ReadAt) -> None:
        self._read_at = read_at
        self._num_packets = 0
        self._end = 0
        self._num_lost = 0
        """Bytes that were skipped without a trace, and found missing since."""

    def add(self, packet: Any) -> None:
        """Go past a packet that was decoded; look where it is, if it is the first or an eighth."""
        if self._num_packets % PACKETS_PER_CHECK == 0:
            if self._num_packets:
                self._num_lost += self._skipped(packet)
            else:
                self._end = self._find(packet, packet.pos or 0)
        self._num_packets += 1
        self._end += packet.size

    def before(self, packet: Any) -> int:
        """Return how many bytes were skipped; 0 if they were tags, or the packet is the first."""
        if self._num_packets == 0:
            return 0
        num_lost, self._num_lost = self._num_lost + self._skipped(packet), 0
        return num_lost

    def after_last(self, _: int) -> int:
        """Return 0: tags can follow."""
        return 0

    @property
    def end(self) -> int:
        """Where the last decoded packet ends."""
        return self._end

    @property
    def has_lost(self) -> bool:
        """Whether bytes were skipped without a trace."""
        return self._num_lost > 0

    def _skipped(self, packet: Any) -> int:
        """Go to the start of a packet; return how many bytes there are before it, except tags."""
        end, self._end = self._end, self._find(packet, self._end)
        num_lost = self._end - end
        junk = self._read_at(end, min(num_lost, MAX_JUNK_BYTES)) if num_lost else b""
        return 0 if TAGS.search(junk) else num_lost

    def _find(self, packet: Any, start: int) -> int:
        """Return the offset of a packet, searching from `start`; `start` if it is not found."""
        data = memoryview(packet)
        for num_bytes in SAMPLE_BYTES:
            found = self._find_bytes(bytes(data[:num_bytes]), start)
            if found is not None:
                return found
        return start

    def _find_bytes(self, wanted: bytes, start: int) -> int | None:
        if self._read_at(start, len(wanted)) == wanted:
            return start
        at = start
        while window := self._read_at(at, WINDOW_BYTES):
            found = window.find(wanted)
            if found >= 0:
                return at + found
            if len(window) < WINDOW_BYTES:
                break
            at += WINDOW_BYTES - len(wanted)
        return None


@dataclass(frozen=True, slots=True)
class Page:
    """The header of an Ogg page."""

    start: int
    end: int
    position: int
    """Samples of the stream up to its end; -1 if no packet ends in it."""
    stream: int
    number: int
    is_last: bool
    """Whether it says that its stream ends with it."""


class PagedBytes:
    """For Ogg: damaged pages are dropped as a whole, and each page has a number."""

    def __init__(self, read_at: ReadAt) -> None:
        self._read_at = read_at
        self._page_at: int | None = None
        """Where the page is that the last decoded packet begins in."""
        self._previous_at: int | None = None
        """Where the page is that the last packet before that page begins in."""

    def add(self, packet: Any) -> None:
        """Go past a packet that was decoded."""
        if self.is_new_page(packet):
            self._previous_at, self._page_at = self._page_at, packet.pos

    def is_new_page(self, packet: Any) -> bool:
        """Return whether a packet is the first that begins in its page."""
        return bool(packet.pos != self._page_at)

    def before(self, packet: Any) -> int:
        """Return the size of the pages that were lost before a packet's page.

        It is 0 where a chain's next stream begins. Of pages that are not in the file at all, it is
        the size of the page after them.
        """
        page, last = self._page(packet.pos), self._page_before(packet)
        if page is None or last is None or page.stream != last.stream:
            return 0
        num_pages = page.number - last.number - 1
        if num_pages <= 0:
            return 0
        return max(page.start - last.end, num_pages * (page.end - page.start))

    def is_in_last_page(self, packet: Any) -> bool:
        """Return whether a packet begins in the last page of its stream."""
        page = self._page(packet.pos)
        return page is not None and page.is_last

    def samples_since(self, packet: Any) -> int:
        """Return the samples from the end of the page before a packet's page to its end.

        The pages state them; 0 if one of them does not.
        """
        page, last = self._page(packet.pos), self._page_before(packet)
        if page is None or last is None or min(page.position, last.position) < 0:
            return 0
        return page.position - last.position

    def after_last(self, file_bytes: int) -> int:
        """Return how many bytes follow the last decoded packet's page, unless that ends the audio.

        Zeros or text can follow the audio.
        """
        last = self._page(self._page_at)
        return 0 if last is None or last.is_last else max(file_bytes - last.end, 0)

    @property
    def end(self) -> int:
        """Where the page ends that the last decoded packet begins in."""
        last = self._page(self._page_at)
        return last.end if last else 0

    def _page_before(self, packet: Any) -> Page | None:
        """Return the page before a packet's page, as far as pages were decoded."""
        last_at = self._page_at if self.is_new_page(packet) else self._previous_at
        if last_at is not None:
            return self._page(last_at)
        page = self._page(packet.pos)
        return page and self._header_page(page)

    def _header_page(self, first: Page) -> Page | None:
        """Return the last page of a stream before its audio, which begins in `first` or earlier."""
        last, at = None, 0
        for _ in range(MAX_HEADER_PAGES):
            page = self._page(at)
            if page is None or page.position > 0 or at >= first.start:
                break
            last, at = page if page.stream == first.stream else last, page.end
        return last

    def _page(self, at: int | None) -> Page | None:
        if at is None:
            return None
        header = self._read_at(at, PAGE_HEADER.size + 255)
        if len(header) < PAGE_HEADER.size:
            return None
        marker, flags, position, stream, number, num_segments = PAGE_HEADER.unpack_from(header)
        segments = header[PAGE_HEADER.size : PAGE_HEADER.size + num_segments]
        end = at + PAGE_HEADER.size + int(num_segments) + sum(segments)
        if marker != b"OggS":
            return None
        return Page(at, end, int(position), stream, number, bool(flags & LAST_PAGE))


class StatedBytes:
    """For all others: FFmpeg reports where each packet is."""

    def __init__(self, *, is_audio_last: bool) -> None:
        self._last: Any = None
        self._is_audio_last = is_audio_last
        """Whether the audio goes on up to the end of the file, as in a fragmented MP4."""

    def add(self, packet: Any) -> None:
        """Go past a packet that was decoded."""
        self._last = packet

    def before(self, packet: Any) -> int:
        """Return how many bytes were skipped; headers between packets are among them."""
        last = self._last
        if last is None or last.pos is None or packet.pos is None:
            return 0
        num_lost: int = packet.pos - last.pos - last.size
        return max(num_lost, 0)

    def after_last(self, file_bytes: int) -> int:
        """Return how many bytes follow the last decoded packet."""
        if not self._is_audio_last or self._last is None or self._last.pos is None:
            return 0
        num_left: int = file_bytes - self._last.pos - self._last.size
        return max(num_left, 0)

    @property
    def end(self) -> int:
        """Where the last decoded packet ends."""
        if self._last is None or self._last.pos is None:
            return 0
        end: int = self._last.pos + self._last.size
        return end
