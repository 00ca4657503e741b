"""The clips that a pod holds after their requests, so that they can be used again by their id.

How it works: a clip is held as the file that was sent, and beside it what was made of it (samples
and their hashes) for each way in which it was decoded. All of it counts against one limit. Whatever
was used least recently goes first: of a clip what was made of its file, which can be made again,
then the file, and with it the clip. A clip of low priority is held in free memory only and goes
before all others, so that a batch of thousands does not displace the clips of conversations.

A clip belongs to the caller who sent it: to all others it does not exist.

Time is an argument. Only the event loop's thread uses it.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from flamingo_common.wire import clip_ids
from flamingo_common.wire.report import MAX_REPORTED_CLIPS
from flamingo_pod.audio.memory_file import MemoryFile

V = TypeVar("V")
_Key = tuple[bytes, str]


@dataclass(frozen=True, slots=True)
class _Decoded(Generic[V]):
    value: V
    num_bytes: int


@dataclass(slots=True)
class HeldClip(Generic[V]):
    """One clip of one caller."""

    id: str
    name: str
    """In load reports."""
    file: MemoryFile
    seconds: float
    """The length of the whole clip, as far as it is known."""
    used_s: float
    is_held: bool = False
    url: bytes = b""
    """A digest of the URL that it was fetched from last, if its server has stated an ETag."""
    etag: str = ""
    decoded: OrderedDict[Hashable, _Decoded[V]] = field(default_factory=OrderedDict)
    """What was made of it, by how; the least recently used first."""

    @property
    def num_bytes(self) -> int:
        """The memory that it takes."""
        return self.file.size + sum(each.num_bytes for each in self.decoded.values())

    def find_decoded(self, how: Hashable) -> V | None:
        """Return what was made of the clip in this way, if that is held."""
        found = self.decoded.get(how)
        if found is None:
            return None
        self.decoded.move_to_end(how)
        return found.value


class HeldClips(Generic[V]):
    """At most `max_bytes` of clips, each for `ttl_s` after its last use."""

    def __init__(self, max_bytes: int, ttl_s: float, max_clips: int = MAX_REPORTED_CLIPS) -> None:
        self._max_bytes, self._ttl_s, self._max_clips = max_bytes, ttl_s, max_clips
        self._clips: OrderedDict[_Key, HeldClip[V]] = OrderedDict()
        """By owner and id, the least recently used first."""
        self._ids: dict[tuple[bytes, bytes], str] = {}
        """By owner and the digest of a URL."""
        self.num_bytes = 0
        """The memory that all of them take."""
        self.num_queries = 0
        self.num_hits = 0

    @property
    def is_enabled(self) -> bool:
        """Whether any clip is held."""
        return self._max_bytes > 0

    def __len__(self) -> int:
        return len(self._clips)

    def get(self, owner: bytes, identifier: str, *, now_s: float) -> HeldClip[V] | None:
        """Return the clip that an owner asks for by its id; counts as a query."""
        self.num_queries += 1
        found = self.find(owner, identifier, now_s=now_s)
        self.num_hits += found is not None
        return found

    def find(self, owner: bytes, identifier: str, *, now_s: float) -> HeldClip[V] | None:
        """Return an owner's clip, which counts as used now; None if it is not held."""
        self.expire(now_s=now_s)
        found = self._clips.get((owner, identifier))
        if found is not None:
            found.used_s = now_s
            self._clips.move_to_end((owner, identifier))
        return found

    def find_url(self, owner: bytes, url: str, *, now_s: float) -> HeldClip[V] | None:
        """Return the clip that was at a URL when the owner used it last, with the ETag there."""
        identifier = self._ids.get((owner, _digest(url)))
        return None if identifier is None else self.find(owner, identifier, now_s=now_s)

    def set_url(self, owner: bytes, clip: HeldClip[V], url: str, etag: str) -> None:
        """Record where a clip that is held was fetched from, and its ETag there."""
        if clip.is_held:
            self._forget_url(owner, clip)
            clip.url, clip.etag = _digest(url), etag
            self._ids[owner, clip.url] = clip.id

    def put(self, owner: bytes, clip: HeldClip[V], *, now_s: float, is_low: bool = False) -> bool:
        """Hold a clip and own its file from now on; return False, and do not own it, if it cannot.

        If `is_low`, nothing else is removed for it.
        """
        self.expire(now_s=now_s)
        key, num_bytes = (owner, clip.id), clip.num_bytes
        if key in self._clips or num_bytes > self._max_bytes:
            return False
        if is_low and not self._has_room(num_bytes, num_clips=1):
            return False
        while not self._has_room(num_bytes, num_clips=1):
            self.evict()
        self._clips[key], clip.is_held = clip, True
        self._clips.move_to_end(key, last=not is_low)
        self.num_bytes += num_bytes
        return True

    def add_decoded(self, clip: HeldClip[V], how: Hashable, value: V, num_bytes: int) -> None:
        """Hold what was made of a clip, if there is room beside the clip's own file."""
        if not clip.is_held or how in clip.decoded or clip.file.size + num_bytes > self._max_bytes:
            return
        while not self._has_room(num_bytes, num_clips=0):
            oldest = next(iter(self._clips.values()))
            if oldest is clip and not clip.decoded:  # of low priority, before all others
                return
            self.evict()
        clip.decoded[how] = _Decoded(value, num_bytes)
        self.num_bytes += num_bytes

    def evict(self) -> bool:
        """Free what was used least recently; return False if nothing is held."""
        if not self._clips:
            return False
        key, oldest = next(iter(self._clips.items()))
        if oldest.decoded:
            _, dropped = oldest.decoded.popitem(last=False)
            self.num_bytes -= dropped.num_bytes
        else:
            self._remove(key)
        return True

    def expire(self, *, now_s: float) -> None:
        """Free the clips that were not used for too long."""
        stale = [key for key, clip in self._clips.items() if clip.used_s + self._ttl_s <= now_s]
        for key in stale:
            self._remove(key)

    def report(self, *, now_s: float) -> dict[str, float]:
        """Return the length in seconds of each clip that is held, by its name in load reports."""
        self.expire(now_s=now_s)
        return {clip.name: clip.seconds for clip in self._clips.values()}

    def _has_room(self, num_bytes: int, *, num_clips: int) -> bool:
        is_within = len(self._clips) + num_clips <= self._max_clips
        return is_within and self.num_bytes + num_bytes <= self._max_bytes

    def _remove(self, key: _Key) -> None:
        clip = self._clips.pop(key)
        self.num_bytes -= clip.num_bytes
        clip.is_held = False
        clip.file.close()
        self._forget_url(key[0], clip)

    def _forget_url(self, owner: bytes, clip: HeldClip[V]) -> None:
        if self._ids.get((owner, clip.url)) == clip.id:  # and not of another clip by now
            del self._ids[owner, clip.url]


def _digest(url: str) -> bytes:
    """Return a digest, since a URL can contain a secret."""
    return hashlib.blake2b(url.encode("utf-8", "replace"), digest_size=16).digest()


def new_clip(
    owner: bytes, identifier: str, file: MemoryFile, seconds: float, *, now_s: float
) -> HeldClip[V]:
    """Return a clip to hold, of which only the file is there."""
    name = clip_ids.held_name(identifier, owner)
    return HeldClip(identifier, name, file, seconds, now_s)
