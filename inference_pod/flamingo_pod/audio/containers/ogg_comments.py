"""The comments of an Ogg file that contain pictures, replaced by empty ones.

A picture is base64 in the comment packet, which FFmpeg copies several times. The packet spans
pages and Vorbis' setup packet follows on the same page, so these pages are written anew.

Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from flamingo_common.audio import ogg
from flamingo_common.audio.tags import Read
from flamingo_pod.audio.containers.patches import Patch

MAX_COMMENT_BYTES = 64 * 1024
"""Shorter comments are left as they are."""
MAX_SETUP_BYTES = 2**20
MAX_PAGES = 2**16
NO_COMMENTS = bytes(8)
"""The length of the vendor's name, and the number of comments."""
MAX_LACING = 255
CONTINUED, NO_POSITION = 1, b"\xff" * 8


@dataclass(slots=True)
class Packets:
    """The packets of a stream, of which the first page has the first one."""

    sizes: list[int] = field(default_factory=lambda: [0])
    """In bytes; the last one may be incomplete."""
    setup: bytearray = field(default_factory=bytearray)
    """The third packet."""

    @property
    def num_complete(self) -> int:
        """Number of packets that have been read."""
        return len(self.sizes) - 1

    def add(self, lacing: bytes, body: bytes) -> None:
        """Add a page."""
        at = 0
        for size in lacing:
            if self.num_complete == 1:
                self.setup += body[at : at + size]
            self.sizes[-1] += size
            at += size
            if size < MAX_LACING:
                self.sizes.append(0)


def comment_patches(read: Read, part: range) -> Iterator[Patch]:
    """Yield the replacement of the pages with long comments, if there are any."""
    first = read(part.start, ogg.MAX_FIRST_PAGE_BYTES)
    first_bytes = ogg.first_page_bytes(first)
    content = first[ogg.PAGE_HEADER_BYTES + first[26] :][:7]
    num_headers, empty = EMPTY_COMMENTS.get(content, (0, b""))
    start = part.start + first_bytes
    if not first_bytes or not num_headers or read(start, 6)[5:] == ogg.FIRST_PAGE[5:]:
        return
    packets, at = Packets(), start
    for _ in range(MAX_PAGES):
        page = read(at, ogg.MAX_PAGE_BYTES)
        if page[:4] != b"OggS" or page[14:18] != first[14:18]:
            return
        lacing = page[ogg.PAGE_HEADER_BYTES : ogg.PAGE_HEADER_BYTES + page[26]]
        body = ogg.PAGE_HEADER_BYTES + len(lacing)
        packets.add(lacing, page[body : body + sum(lacing)])
        at += body + sum(lacing)
        if packets.num_complete >= num_headers or len(packets.setup) > MAX_SETUP_BYTES:
            break
    if packets.num_complete == num_headers and packets.sizes[0] > MAX_COMMENT_BYTES:
        headers = [empty, bytes(packets.setup)][:num_headers]
        yield Patch(range(start, at), b"".join(_pages(first[14:18], headers)))


EMPTY_COMMENTS = {
    # by the beginning of the first packet: how many headers follow it, and the first of them
    b"OpusHea": (1, b"OpusTags" + NO_COMMENTS),
    b"\x01vorbis": (2, b"\x03vorbis" + NO_COMMENTS + b"\1"),
}


def _pages(serial: bytes, packets: list[bytes]) -> Iterator[bytes]:
    number = 1
    for packet in packets:
        num_full, rest = divmod(len(packet), MAX_LACING)
        lacing = bytes([MAX_LACING] * num_full + [rest])
        for at in range(0, len(lacing), MAX_LACING):
            part = lacing[at : at + MAX_LACING]
            is_end = at + MAX_LACING >= len(lacing)
            body = packet[at * MAX_LACING : at * MAX_LACING + sum(part)]
            yield _page(serial, number, (at > 0, is_end), part, body)
            number += 1


def _page(
    serial: bytes, number: int, continues: tuple[bool, bool], lacing: bytes, body: bytes
) -> bytes:
    is_continued, is_end = continues
    flags = bytes([CONTINUED * is_continued])
    position = bytes(8) if is_end else NO_POSITION
    start = b"OggS\0" + flags + position + serial + number.to_bytes(4, "little")
    end = bytes([len(lacing)]) + lacing + body
    checksum = ogg.checksum(start + bytes(4) + end)
    return start + checksum.to_bytes(4, "little") + end
