"""Where tags stand between the frames of an AAC or MP3 file, as in joined files.

FFmpeg takes their content, as a cover's, for frames. It is shown the file without them, except for
those of an MP3 that it skips itself. A tag is one only if a frame follows it.

Pure.
"""

import functools
import re
from collections.abc import Iterator

from flamingo_common.audio import tags
from flamingo_common.audio.tags import Read
from flamingo_pod.audio.containers.patches import Patch

MARKS = {"aac": re.compile(rb"ID3[\x02-\x04]|TAG|APETAGEX"), "mp3": re.compile(rb"TAG")}
"""What a tag begins with, by the format that it is in."""
MARK_BYTES = 8
BLOCK_BYTES = 2**20
MAX_TAGS = 16_384
"""A segment of some seconds has one."""
MIN_SYNC = 0xE0
"""The second byte of a frame is at least this, the first is 255."""


def patches(key: str, read: Read, part: range) -> list[Patch]:
    """Return what to leave out of this part of a file, which is of the format `key`."""
    if key not in MARKS:
        return []
    found, end = list[Patch](), part.start
    for at in _marks(MARKS[key], read, part):
        if at < end:
            continue
        end = _end_of_tags(read, at)
        follows = read(end, 2)
        if end < part.stop and follows[:1] == b"\xff" and follows[1:] >= bytes([MIN_SYNC]):
            found.append(Patch(range(at, end), b""))
        else:
            end = at
        if len(found) >= MAX_TAGS:
            break
    return found


def _marks(marks: re.Pattern[bytes], read: Read, part: range) -> Iterator[int]:
    """Yield the offset of everything that a tag may begin with."""
    for start in range(part.start, part.stop, BLOCK_BYTES):
        block = read(start, BLOCK_BYTES + MARK_BYTES - 1)
        for match in marks.finditer(block):
            if match.start() < BLOCK_BYTES:
                yield start + match.start()


def _end_of_tags(read: Read, at: int) -> int:
    """Return where the tags end that begin at an offset."""
    for _ in range(tags.MAX_TAGS):
        start = at
        at += tags.audio_offset(functools.partial(_read_from, read, start))
        if read(at, 3) == b"TAG":
            at += tags.ID3V1_BYTES
        if at == start:
            break
    return at


def _read_from(read: Read, start: int, at: int, size: int) -> bytes:
    return read(start + at, size)
