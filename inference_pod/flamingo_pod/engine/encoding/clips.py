"""Which named clips are cached.

A clip counts as cached while the KV of a prefix that ends with it is in the pool, or while the
encoder states of all its windows are in the encoder's cache. The caches report each key that
they add or evict, so reading the names searches nothing.

Pure. The engine's thread writes; other threads may call `names`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from flamingo_common.wire.report import MAX_REPORTED_CLIPS


@dataclass(frozen=True, slots=True)
class _ClipEntry:
    window_keys: frozenset[bytes]
    prefix_keys: set[bytes] = field(default_factory=set)


class ClipIndex:
    """At most `max_names` clips; the least recently used is forgotten first."""

    def __init__(self, max_names: int = MAX_REPORTED_CLIPS) -> None:
        self._max_names = max_names
        self._entries: dict[str, _ClipEntry] = {}
        """By clip name, the least recently used first."""
        self._names_by_key: dict[bytes, set[str]] = {}
        self._cached_keys: set[bytes] = set()
        self._cached_names: dict[str, None] = {}

    def names(self) -> list[str]:
        """Return the names of the cached clips."""
        return list(self._cached_names)

    def register(self, name: str, window_keys: Iterable[bytes], prefix_key: bytes | None) -> None:
        """Remember the keys under which a request's clip is cached."""
        keys = frozenset(window_keys)
        if not keys:
            return
        known = self._forget(name)
        entry = known if known and known.window_keys == keys else _ClipEntry(keys)
        entry.prefix_keys.intersection_update(self._cached_keys)
        if prefix_key is not None:
            entry.prefix_keys.add(prefix_key)
        while len(self._entries) >= self._max_names:
            self._forget(next(iter(self._entries)))
        self._entries[name] = entry
        for key in entry.window_keys | entry.prefix_keys:
            self._names_by_key.setdefault(key, set()).add(name)
        self._refresh(name)

    def on_cache_change(self, key: bytes, is_cached: bool) -> None:
        """Record that a window's states or a prefix's KV was cached or evicted."""
        (self._cached_keys.add if is_cached else self._cached_keys.discard)(key)
        for name in self._names_by_key.get(key, ()):
            self._refresh(name)

    def _refresh(self, name: str) -> None:
        entry, cached = self._entries[name], self._cached_keys
        if entry.prefix_keys.isdisjoint(cached) and not entry.window_keys <= cached:
            self._cached_names.pop(name, None)
        else:
            self._cached_names[name] = None

    def _forget(self, name: str) -> _ClipEntry | None:
        entry = self._entries.pop(name, None)
        self._cached_names.pop(name, None)
        for key in entry.window_keys | entry.prefix_keys if entry else ():
            names = self._names_by_key[key]
            names.discard(name)
            if not names:
                del self._names_by_key[key]
        return entry
