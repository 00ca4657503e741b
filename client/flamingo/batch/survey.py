"""What a batch would process, found out without processing it."""

from pathlib import Path

from flamingo.batch.estimate import Survey
from flamingo.batch.items import Item, Malformed
from flamingo.batch.keys import FAILED, FINISHED, SEEN, KeyTable
from flamingo.batch.source import Source
from flamingo_common.audio import probe
from flamingo_common.errors import FlamingoError

MAX_PROBED_FILES = 500
MAX_PROBED_OBJECTS = 20
"""Clips of which the source has no path: each is read as a whole."""
MAX_MALFORMED_SHOWN = 5


def survey(source: Source, finished: KeyTable | None = None) -> Survey:
    """Return the counts of a source, which is read to its end, without what is `finished`.

    Raises:
        FlamingoError: it cannot be read.
    """
    found = Survey()
    num_left: float = MAX_PROBED_FILES
    for entry in source.items():
        flags = 0 if finished is None else finished.add(entry.key, SEEN)
        if flags & FINISHED:
            found.num_done_before += 1
            found.num_failed_before += bool(flags & FAILED)
            continue
        if isinstance(entry, Malformed):
            found.num_malformed += 1
            if len(found.malformed) < MAX_MALFORMED_SHOWN:
                found.malformed.append(entry)
            continue
        found.num_items += 1
        found.num_bytes += entry.num_bytes or 0
        if entry.duration_s is not None:
            found.num_known += 1
            found.known_s += entry.duration_s
        elif num_left > 0:
            num_left -= _probe(source, entry, found)
    return found


def _probe(source: Source, item: Item, found: Survey) -> float:
    """Add the length of a clip, if its header has it; return what that costs of the limit."""
    try:
        audio = source.audio(item)
    except FlamingoError:  # a run will report it
        return 1
    if isinstance(audio, bytes):
        head, num_bytes, cost = audio, len(audio), MAX_PROBED_FILES / MAX_PROBED_OBJECTS
    elif isinstance(audio, Path):
        head, num_bytes, cost = *_read_head(audio), 1.0
    else:  # a URL: it would have to be downloaded
        return 1
    clip = probe.probe(head, total_bytes=num_bytes) if num_bytes else None
    if clip is not None:
        found.num_probed += 1
        found.probed_s += clip.seconds
    return cost


def _read_head(path: Path) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            head = file.read(probe.HEAD_BYTES)
            return head, file.seek(0, 2)
    except OSError:  # a run will report it
        return b"", 0
