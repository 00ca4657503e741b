"""The parts of a file that FFmpeg opens one after the other: one, except for an Ogg in a chain.

Ogg files may follow one another in one file, as in recordings of web radios, where each song is a
link of its own. FFmpeg reads such a file as one stream, and fails where the sample rate, the number
of channels or the codec changes. So each link is a file to it.
"""

import functools
import io
import itertools
from collections.abc import Iterator

from flamingo_common.audio import ogg, tags
from flamingo_common.errors import InvalidAudio
from flamingo_pod.audio.containers import file_view

TAGGED_AT_END = frozenset({"aac", "flac", "mp3", "tta", "wavpack"})
"""Formats whose tags, with their pictures, follow the audio, where FFmpeg may take them for it."""
BLOCK_BYTES = 2**20
MAX_LINKS = 1024
"""Opening a link takes a millisecond."""


def parts(file: io.FileIO, key: str, start: int) -> list[range]:
    """Return the offsets of each part of the file, which is of the format `key`, from `start`.

    Raises:
        InvalidAudio: it has too many parts.
    """
    end = file_view.file_size(file)
    if key in TAGGED_AT_END:
        end = max(tags.audio_end(functools.partial(file_view.read_at, file), end), start)
    later = [] if key != "ogg" else _later_links(file, start, end)
    bounds = [start, *later, end]
    links = [range(*pair) for pair in itertools.pairwise(bounds)]
    return [link for link in links if link.start == start or _has_audio(file, link)]


def _later_links(file: io.FileIO, start: int, end: int) -> list[int]:
    """Return where a first page begins that does not follow another first page, after `start`."""
    links, group_end = [], start
    for at, page_end in _first_pages(file, start, end):
        if at != group_end:
            links.append(at)
        if len(links) >= MAX_LINKS:
            raise InvalidAudio(f"the Ogg file is a chain of more than {MAX_LINKS} files")
        group_end = page_end
    return links


def _first_pages(file: io.FileIO, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of the first page of every stream: pages are contiguous, but not walked."""
    mark_bytes = len(ogg.FIRST_PAGE)
    for block_start in range(start, end, BLOCK_BYTES):
        block = file_view.read_at(file, block_start, BLOCK_BYTES + mark_bytes - 1)
        at = block.find(ogg.FIRST_PAGE)
        while at >= 0:
            page = file_view.read_at(file, block_start + at, ogg.MAX_FIRST_PAGE_BYTES)
            if num_bytes := ogg.first_page_bytes(page):
                yield block_start + at, block_start + at + num_bytes
            at = block.find(ogg.FIRST_PAGE, at + 1)


def _has_audio(file: io.FileIO, link: range) -> bool:
    """Return whether a link, which may be cut off within its headers, has audio."""
    size = min(len(link), ogg.MAX_PAGE_BYTES)
    return ogg.last_position(file_view.read_at(file, link.stop - size, size)) > 0
