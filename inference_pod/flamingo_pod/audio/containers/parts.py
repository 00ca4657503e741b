"""The parts of containers: chunks of RIFF and its relatives, boxes of MP4, elements of Matroska.

Every walk is bounded, and ends where a part is truncated.

Pure.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from flamingo_common.audio.tags import Read

MAX_PARTS = 2**16
"""Parts of a container to look at. Looking at one takes some microseconds."""


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk, box, element or object."""

    kind: bytes
    start: int
    body: int
    end: int


def chunks(read: Read, within: range, form: str) -> Iterator[Part]:
    """Yield the chunks of a RIFF, AIFF or CAF file, whose headers have this form for `struct`."""
    header_bytes = struct.calcsize(form)
    is_padded = header_bytes == 8  # noqa: PLR2004 - all but CAF
    at = within.start
    for _ in range(MAX_PARTS):
        if at + header_bytes > within.stop:
            return
        kind, size = struct.unpack(form, read(at, header_bytes))
        if size < 0:  # CAF: up to the end of the file
            return
        end = at + header_bytes + size + (size & 1 if is_padded else 0)
        yield Part(kind, at, at + header_bytes, end)
        at = end


def boxes(read: Read, within: range, kind: bytes) -> Iterator[Part]:
    """Yield the boxes of this kind in a part of an MP4."""
    at = within.start
    for _ in range(MAX_PARTS):
        if at + 8 > within.stop:
            return
        size, found, long_size = struct.unpack(">I4sQ", read(at, 16).ljust(16, b"\0"))
        body = at + 8
        if size == 1:
            size, body = long_size, at + 16
        end = min(at + size, within.stop) if size else within.stop
        if end < body:
            return
        if found == kind:
            yield Part(found, at, body, end)
        at = end


def nested_boxes(read: Read, within: range, *path: bytes) -> Iterator[Part]:
    """Yield the boxes at this path of kinds."""
    first, *rest = path
    for box in boxes(read, within, first):
        if rest:
            yield from nested_boxes(read, range(box.body, box.end), *rest)
        else:
            yield box


def elements(read: Read, within: range) -> Iterator[Part]:
    """Yield the elements in a part of a Matroska file."""
    at = within.start
    for _ in range(MAX_PARTS):
        if at + 2 > within.stop:
            return
        head = read(at, 12)
        id_bytes = 9 - head[0].bit_length()
        size_bytes = 9 - head[id_bytes].bit_length()
        body = at + id_bytes + size_bytes
        limit = 1 << 7 * size_bytes
        size = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & ~limit
        # A live recording has segments and clusters without an end.
        end = within.stop if size == limit - 1 else min(body + size, within.stop)
        yield Part(head[:id_bytes], at, body, end)
        at = end
