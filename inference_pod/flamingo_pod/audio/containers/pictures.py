"""Where the pictures in a file are, so that FFmpeg is shown the file without them.

FFmpeg reads every picture into memory and counts it as a video stream, of which a file may have a
limited number: a booklet of forty scanned pages would be forty streams and 80 MB.

Each function returns patches: replacements of the same size wherever the container refers to its
parts by offset. A file that is not understood is returned unchanged, and FFmpeg judges it.

Pure.
"""

import struct
from collections.abc import Iterator

from flamingo_common.audio import asf
from flamingo_common.audio.tags import Read
from flamingo_pod.audio.containers.ogg_comments import comment_patches
from flamingo_pod.audio.containers.parts import (
    MAX_PARTS,
    Part,
    boxes,
    chunks,
    elements,
    nested_boxes,
)
from flamingo_pod.audio.containers.patches import Finder, Patch, patches_by


def patches(key: str, read: Read, part: range) -> list[Patch]:
    """Return what to replace in this part of a file, which is of the format `key`."""
    return patches_by(FINDERS, key, read, part)


def _flac(read: Read, part: range) -> Iterator[Patch]:
    """Leave only the stream information before the first frame."""
    info = read(part.start, 42)
    is_last, at = bool(info[4] & 0x80), part.start + 42
    if info[4] & 0x7F or info[5:8] != b"\0\0\x22":
        return
    for _ in range(MAX_PARTS):
        if is_last:
            break
        header = read(at, 4)
        is_last, at = bool(header[0] & 0x80), at + 4 + int.from_bytes(header[1:], "big")
    if is_last and read(at, 2) in (b"\xff\xf8", b"\xff\xf9"):
        yield Patch(range(part.start + 4, at), b"\x80" + info[5:])


def _riff(read: Read, part: range) -> Iterator[Patch]:
    order = ">" if read(part.start, 4) == b"FORM" else "<"
    for chunk in chunks(read, range(part.start + 12, part.stop), order + "4sI"):
        if chunk.kind.upper() == b"ID3 ":
            yield Patch(range(chunk.start, chunk.start + 4), b"JUNK")


def _mp4(read: Read, part: range) -> Iterator[Patch]:
    """Rename the cover art of iTunes, but leave its other tags, which tell the encoder's delay."""
    for meta in nested_boxes(read, part, b"moov", b"udta", b"meta"):
        # Apple's older files have no version here.
        body = meta.body + (0 if read(meta.body + 4, 4) == b"hdlr" else 4)
        for covr in nested_boxes(read, range(body, meta.end), b"ilst", b"covr"):
            yield Patch(range(covr.start + 4, covr.start + 8), b"free")
            yield from _renamed_data(read, covr)


def _renamed_data(read: Read, covr: Part) -> Iterator[Patch]:
    for data in boxes(read, range(covr.body, covr.end), b"data"):
        yield Patch(range(data.start + 4, data.start + 8), b"free")


SEGMENT, ATTACHMENTS = b"\x18\x53\x80\x67", b"\x19\x41\xa4\x69"
VOID, EMPTY_VOID = b"\xec", b"\xec\x80"
MAX_SIZE_BYTES = 8


def _matroska(read: Read, part: range) -> Iterator[Patch]:
    for segment in elements(read, part):
        if segment.kind == SEGMENT:
            for element in elements(read, range(segment.body, segment.end)):
                if element.kind == ATTACHMENTS:
                    header = range(element.start, element.body)
                    yield Patch(header, _void(len(header), element.end - element.body))


def _void(header_bytes: int, body_bytes: int) -> bytes:
    """Return a header of this length for an element that is to be skipped."""
    fill = EMPTY_VOID * max(0, (header_bytes - 1 - MAX_SIZE_BYTES + 1) // 2)
    size_bytes = header_bytes - len(fill) - 1
    return fill + VOID + (body_bytes | 1 << 7 * size_bytes).to_bytes(size_bytes, "big")


ASF_TAGS = frozenset(
    bytes.fromhex(guid)
    for guid in (
        "40a4d0d207e3d21197f000a0c95ea850",  # extended content description
        "941c23449894d149a1411d134e457054",  # metadata library
        "eacbf8c5af5b77488467aa8c44fa4cca",  # metadata
    )
)
ASF_HEADER_EXTENSION = bytes.fromhex("b503bf5f2ea9cf118ee300c00c205365")
ASF_EXTENSION_FIELDS_BYTES = 22


def _asf(read: Read, part: range) -> Iterator[Patch]:
    (header_bytes,) = struct.unpack("<Q", read(part.start + 16, 8))
    end = min(part.start + header_bytes, part.stop)
    for each in _objects(read, range(part.start + asf.FIRST_OBJECT, end)):
        if each.kind in ASF_TAGS:
            yield _blanked_name(each)
        if each.kind == ASF_HEADER_EXTENSION:
            inner = range(each.body + ASF_EXTENSION_FIELDS_BYTES, each.end)
            yield from (_blanked_name(tag) for tag in _objects(read, inner) if tag.kind in ASF_TAGS)


def _blanked_name(part: Part) -> Patch:
    return Patch(range(part.start, part.start + len(part.kind)), bytes(len(part.kind)))


def _objects(read: Read, part: range) -> Iterator[Part]:
    at = part.start
    for _ in range(MAX_PARTS):
        if at + asf.OBJECT_HEADER_BYTES > part.stop:
            return
        kind, size = struct.unpack("<16sQ", read(at, asf.OBJECT_HEADER_BYTES))
        end = at + max(size, asf.OBJECT_HEADER_BYTES)
        yield Part(kind, at, at + asf.OBJECT_HEADER_BYTES, min(end, part.stop))
        at = end


FINDERS: dict[str, Finder] = {
    "flac": _flac,
    "wav": _riff,
    "aiff": _riff,
    "mp4": _mp4,
    "webm": _matroska,
    "ogg": comment_patches,
    "asf": _asf,
}
