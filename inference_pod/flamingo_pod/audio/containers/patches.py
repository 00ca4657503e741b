"""Replacements of some bytes of a file by others, and the file as the pieces that result.

Pure.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from flamingo_common.audio.tags import Read

Piece = range | bytes
"""Bytes of the file, by their offsets, or other bytes in their place."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes, by their offsets, and what stands in their place."""

    replaced: range
    content: bytes


Finder = Callable[[Read, range], Iterator[Patch]]
"""Yields what to replace in a part of a file."""


def patches_by(finders: Mapping[str, Finder], key: str, read: Read, part: range) -> list[Patch]:
    """Return what the finder of the format `key`, if there is one, replaces in a part of a file.

    Nothing, if the file is truncated or corrupt: FFmpeg judges it.
    """
    find = finders.get(key)
    try:
        return list(find(read, part)) if find else []
    except (struct.error, IndexError):
        return []


def pieces(part: range, patches: Iterable[Patch]) -> Iterator[Piece]:
    """Yield the pieces of this part of a file, with the patches, which may not overlap."""
    at = part.start
    for patch in sorted(patches, key=lambda patch: patch.replaced.start):
        yield range(at, patch.replaced.start)
        yield patch.content
        at = patch.replaced.stop
    yield range(at, part.stop)
