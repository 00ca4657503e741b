"""Which named clips the caches still hold.

A clip is held while the KV of a prompt's beginning up to its end is in the pool, or
the states of all its windows are in the encoder's cache. The caches say what comes
and goes; nothing is searched for when somebody asks.

Pure. The engine's thread writes; `names` may be read from another.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from flamingo_common.wire.report import MAX_REPORTED_CLIPS


@dataclass(frozen=True, slots=True)
class _ClipEntry:
    window_keys: frozenset[bytes]
    prefix_keys: set[bytes] = field(default_factory=set)


class ClipIndex:
    """At most `max_names` of them, the longest unused forgotten first."""

    def __init__(self, max_names: int = MAX_REPORTED_CLIPS) -> None:
        self._max_names = max_names
        self._known: dict[str, _ClipEntry] = {}
        """The longest unused first."""
        self._by_key: dict[bytes, set[str]] = {}
        self._cached: set[bytes] = set()
        self._held: dict[str, None] = {}

    def names(self) -> list[str]:
        """Return the names of the clips that are held."""
        return list(self._held)

    def note(self, name: str, window_keys: Iterable[bytes], prefix_key: bytes | None) -> None:
        """Remember what a request's clip is kept under."""
        keys = frozenset(window_keys)
        if not keys:
            return
        before = self._forget(name)
        clip = before if before and before.window_keys == keys else _ClipEntry(keys)
        clip.prefix_keys.intersection_update(self._cached)
        if prefix_key is not None:
            clip.prefix_keys.add(prefix_key)
        while len(self._known) >= self._max_names:
            self._forget(next(iter(self._known)))
        self._known[name] = clip
        for key in clip.window_keys | clip.prefix_keys:
            self._by_key.setdefault(key, set()).add(name)
        self._judge(name)

    def tell(self, key: bytes, is_cached: bool) -> None:
        """Take in that a window's states or a prefix's KV have come, or gone."""
        (self._cached.add if is_cached else self._cached.discard)(key)
        for name in self._by_key.get(key, ()):
            self._judge(name)

    def _judge(self, name: str) -> None:
        clip = self._known[name]
        if clip.prefix_keys.isdisjoint(self._cached) and not clip.window_keys <= self._cached:
            self._held.pop(name, None)
        else:
            self._held[name] = None

    def _forget(self, name: str) -> _ClipEntry | None:
        clip = self._known.pop(name, None)
        self._held.pop(name, None)
        for key in clip.window_keys | clip.prefix_keys if clip else ():
            names = self._by_key[key]
            names.discard(name)
            if not names:
                del self._by_key[key]
        return clip
