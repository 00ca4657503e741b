"""Opens a request's clip, as it was sent or by the id of one that is held, and holds it after."""

import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from flamingo_common.errors import ClipNotHeld
from flamingo_common.wire import clip_ids
from flamingo_common.wire.requests import AudioInput
from flamingo_pod.audio import held_clips, media
from flamingo_pod.audio.held_clips import HeldClip, HeldClips
from flamingo_pod.audio.memory_budget import Reservation
from flamingo_pod.audio.memory_file import MemoryFile
from flamingo_pod.caller import Caller
from flamingo_pod.pod import Pod

ANY_OPTIONS = None
"""How a clip was decoded that is the same with all options: it is neither truncated nor damaged."""


@dataclass(slots=True)
class OpenedClip:
    """A clip's file, which the request's reservation owns, and what is held of it."""

    file: MemoryFile
    num_reserved: int
    """Bytes that are reserved for the file, or for the text that it was sent as."""
    id: str = ""
    """Empty: clips are not held."""
    held: HeldClip[Any] | None = None
    url: str = ""
    """Where it was fetched, if its server has stated an ETag for it."""
    etag: str = ""

    def find_decoded(self, how: Hashable, *, is_part: bool = False) -> Any:
        """Return what was made of the clip before, with any options or with these; or None.

        A part is only found if just that part was made.
        """
        if self.held is None:
            return None
        whole = None if is_part else self.held.find_decoded(ANY_OPTIONS)
        return whole or self.held.find_decoded(how)

    @property
    def held_id(self) -> str | None:
        """The id, if the clip is held now."""
        return self.id if self.held is not None and self.held.is_held else None

    def reserve_file(self, reservation: Reservation) -> MemoryFile:
        """Return the file to decode; raises `Overloaded` if there is no memory for it."""
        if not self.num_reserved:
            reservation.add(self.file.size)
            self.num_reserved = self.file.size
        return self.file


async def open_clip(
    pod: Pod, caller: Caller, reservation: Reservation, audio: AudioInput | MemoryFile
) -> OpenedClip:
    """Return the clip, not yet decoded.

    Raises:
        ClipNotHeld: it is given by an id that the caller has no clip of here.
        FlamingoError: as `media.load_clip_file`.
    """
    held: HeldClips[Any] = pod.memory_budget.held
    if isinstance(audio, AudioInput) and audio.id is not None:
        found = held.get(caller.salt, audio.id, now_s=time.monotonic())
        if found is None:
            raise ClipNotHeld(clip_ids.NOT_HELD)
        return OpenedClip(reservation.adopt(found.file.duplicate()), 0, found.id, found)
    if held.is_enabled and isinstance(audio, AudioInput) and media.is_fetched(audio):
        return await _open_url(pod, caller, reservation, str(audio.url))
    file = await media.load_clip_file(audio, pod.fetcher, reservation)
    num_reserved = media.reserved_bytes(audio, file)
    if not held.is_enabled:
        return OpenedClip(file, num_reserved)
    identifier = clip_ids.clip_id(await file.digest(), caller.salt)
    found = held.find(caller.salt, identifier, now_s=time.monotonic())
    return OpenedClip(file, num_reserved, identifier, found)


async def _open_url(pod: Pod, caller: Caller, reservation: Reservation, url: str) -> OpenedClip:
    """Return the clip at a URL, which is not loaded again while its server says it is the same.

    The server is asked each time, under the same checks as for the first fetch.
    """
    held: HeldClips[Any] = pod.memory_budget.held
    known = held.find_url(caller.salt, url, now_s=time.monotonic())
    # Before the server is asked: the clip may not be held any more when it has answered.
    copy = None if known is None else reservation.adopt(known.file.duplicate())
    etag = "" if known is None else known.etag
    fetched = await pod.fetcher.fetch_if_changed(url, etag, reservation)
    if fetched is None:
        assert known is not None
        assert copy is not None
        return OpenedClip(copy, 0, known.id, known)
    file = media.check_not_empty(fetched.file)
    identifier = clip_ids.clip_id(await file.digest(), caller.salt)
    found = held.find(caller.salt, identifier, now_s=time.monotonic())
    opened = OpenedClip(file, file.size, identifier, found, url, fetched.etag)
    _record_url(pod, caller, opened)
    return opened


def _record_url(pod: Pod, caller: Caller, opened: OpenedClip) -> None:
    if opened.held is not None and opened.etag:
        pod.memory_budget.held.set_url(caller.salt, opened.held, opened.url, opened.etag)


def hold(
    pod: Pod, caller: Caller, reservation: Reservation, opened: OpenedClip, seconds: float
) -> None:
    """Hold a clip that was decoded, if it is not held already and can be."""
    budget, now_s = pod.memory_budget, time.monotonic()
    opened.held = budget.held.find(caller.salt, opened.id, now_s=now_s)
    if opened.held is not None or not opened.id:
        _record_url(pod, caller, opened)
        return
    clip: HeldClip[Any] = held_clips.new_clip(
        caller.salt, opened.id, opened.file, seconds, now_s=now_s
    )
    if budget.held.put(caller.salt, clip, now_s=now_s, is_low=caller.priority.is_low):
        reservation.disown(opened.file)
        opened.held = clip
        _record_url(pod, caller, opened)


def hold_decoded(pod: Pod, opened: OpenedClip, how: Hashable, made: Any, num_bytes: int) -> None:
    """Hold what was made of a clip, beside its file."""
    if opened.held is not None:
        pod.memory_budget.held.add_decoded(opened.held, how, made, num_bytes)
        pod.memory_budget.free_held()
