"""Where the clips of a request stand in it, which errors name, and the one clip of a conversation.

Chat front ends attach the same clip again in every turn. It is used once, at its first place, so
the prompt, and what is cached of it, is the same as if it had been sent once.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flamingo_common.errors import BadRequest, Overloaded
from flamingo_common.wire import clip_ids
from flamingo_common.wire.clip_options import ClipOptions
from flamingo_common.wire.requests import AudioInput
from flamingo_pod.audio import media
from flamingo_pod.audio.fetch import Fetcher
from flamingo_pod.audio.memory_budget import Reservation
from flamingo_pod.audio.memory_file import MemoryFile

PART_FIELDS = ("start", "end")
"""Of the request, and not of one of its clips."""
MAX_URLS = 32
"""Different URLs that are fetched to find out that they all have the same clip."""


@dataclass(frozen=True, slots=True)
class ClipSource:
    """A clip, not yet loaded, and its place in the request, such as `messages[0].content[1]`."""

    audio: AudioInput | MemoryFile
    place: str
    is_one_of_several: bool = False

    @property
    def text(self) -> str | None:
        """Its base64, URL or id; None for a file."""
        audio = self.audio
        return None if isinstance(audio, MemoryFile) else audio.data or audio.url or audio.id

    @property
    def id(self) -> str | None:
        """The id by which it is given."""
        return None if isinstance(self.audio, MemoryFile) else self.audio.id

    @property
    def is_fetched(self) -> bool:
        """Whether it is at an `http(s)` URL."""
        return not isinstance(self.audio, MemoryFile) and media.is_fetched(self.audio)


def check_part(options: ClipOptions, sources: Sequence[ClipSource]) -> None:
    """Check that a request for a part of a clip has a clip.

    Raises:
        BadRequest: it has none, so that `start` or `end` would be without effect.
    """
    if sources:
        return
    for name in PART_FIELDS:
        if getattr(options, name) is not None:
            raise BadRequest(f"{name}: the request has no clip of which to use a part", param=name)


@contextlib.contextmanager
def naming(source: ClipSource) -> Iterator[None]:
    """Name the clip in an error that it causes during the block."""
    try:
        yield
    except (BadRequest, Overloaded) as error:
        if error.param in PART_FIELDS:
            raise
        error.param = source.place
        if source.is_one_of_several:
            error.message = f"{source.place}: {error.message}"
        raise


async def only_clip(
    sources: Sequence[ClipSource], fetcher: Fetcher, reservation: Reservation, tenant: bytes = b""
) -> ClipSource | None:
    """Return the clip of a conversation; None if it has none.

    If the same clip was sent several times, in any form, the others are freed. One that was sent is
    preferred to one that is given by the id that it has for `tenant`.

    Raises:
        BadRequest: there are different clips, or too many URLs.
        FlamingoError: as `media.load_clip_file`, for any of them.
    """
    distinct = _distinct(sources, reservation)
    if len(distinct) <= 1:
        return distinct[0] if distinct else None
    first, *others = distinct
    if sum(each.is_fetched for each in distinct) > MAX_URLS:
        raise BadRequest(
            f"the clip is given by more than {MAX_URLS} different URLs; send one of them",
            param=others[-1].place,
        )
    kept: MemoryFile | None = None
    first_id = None
    for source in distinct:
        file = await _load(source, fetcher, reservation) if source.id is None else None
        clip_id = source.id if file is None else clip_ids.clip_id(await file.digest(), tenant)
        if first_id is not None and clip_id != first_id:
            raise _different(first, source)
        first_id = clip_id
        if kept is None:
            kept = file
        elif file is not None:
            reservation.replace_file(file, file.size, 0)
    return ClipSource(kept or first.audio, first.place)


def _distinct(sources: Sequence[ClipSource], reservation: Reservation) -> list[ClipSource]:
    """Return the sources without those that repeat the text of an earlier one, which are freed."""
    distinct: dict[str | int, ClipSource] = {}
    for number, source in enumerate(sources):
        key = number if source.text is None else source.text
        if distinct.setdefault(key, source) is not source:
            _free_text(source, reservation, num_kept=0)
    is_several = len(distinct) > 1
    return [ClipSource(each.audio, each.place, is_several) for each in distinct.values()]


async def _load(source: ClipSource, fetcher: Fetcher, reservation: Reservation) -> MemoryFile:
    with naming(source):
        file = await media.load_clip_file(source.audio, fetcher, reservation)
    _free_text(source, reservation, num_kept=file.size)
    return file


def _free_text(source: ClipSource, reservation: Reservation, *, num_kept: int) -> None:
    """Drop a clip's base64, of which `num_kept` bytes remain as a file."""
    if isinstance(source.audio, MemoryFile) or source.is_fetched or source.id is not None:
        return
    reservation.free(media.reserved_bytes(source.audio) - num_kept)
    source.audio.data = source.audio.url = None


def _different(first: ClipSource, other: ClipSource) -> BadRequest:
    return BadRequest(
        f"{other.place} is another clip than {first.place}: a conversation has one clip, which may"
        " be attached again in any turn; ask about another one in a conversation of its own",
        param=other.place,
    )
