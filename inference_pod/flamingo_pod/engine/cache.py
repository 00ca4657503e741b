"""What was computed once and may be asked for again, in bounded memory.

Pure: values are opaque, and their cost is the caller's measurement. One thread
owns a cache; another may read its counts.
"""

import hashlib
import heapq
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

V = TypeVar("V")

MAX_STALE = 64
"""Outdated heap entries that are not worth a rebuild."""


@dataclass(slots=True)
class _CacheEntry(Generic[V]):
    value: V
    size_bytes: int
    cost_s_per_byte: float
    place: int = 0
    """Of its one heap entry that counts; those with another place are outdated."""


class CostAwareCache(Generic[V]):
    """At most `max_bytes` of values; the one worth least goes first.

    GreedyDual-Size (Cao & Irani, "Cost-Aware WWW Proxy Caching Algorithms",
    USITS 1997): when a value is put or got, its worth becomes

        clock + cost_s / size_bytes

    and when one is evicted, the clock becomes its worth. So a value that took
    long to compute, for its size, stays longer than its neighbours; but the
    clock catches up with everything that nobody asks for. Equal costs per byte
    make it least-recently-used. All operations are O(log n), amortised.

    It counts no uses, unlike GreedyDual-Size-Frequency (Cherkasova 1998): a clip
    is asked about in one conversation, then never again, however often it was.
    """

    def __init__(
        self, max_bytes: int, on_change: Callable[[Any, bool], None] = lambda *_: None
    ) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        """Of all values held."""
        self.num_hits = 0
        self.num_misses = 0
        self.on_change = on_change
        """Told a key, and whether it is in the cache from now on."""
        self.num_evictions = 0
        """Values that made room for another; neither replaced ones nor those too large to keep."""
        self._entries: dict[Hashable, _CacheEntry[V]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        """(worth, place, key), least first; of equal worth, the one used earlier."""
        self._clock = 0.0
        self._last_place = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> V | None:
        """Return the value, which thereby becomes worth keeping again, or None."""
        entry = self._entries.get(key)
        if entry is None:
            self.num_misses += 1
            return None
        self.num_hits += 1
        self._renew(key, entry)
        return entry.value

    def put(self, key: Hashable, value: V, *, size_bytes: int, cost_s: float) -> None:
        """Keep a value that took `cost_s` to compute, instead of any before it under `key`.

        One larger than the whole cache is not kept.

        Raises:
            ValueError: the size is not positive, or the cost is negative or not finite.
        """
        if size_bytes < 1 or cost_s < 0 or not math.isfinite(cost_s):
            raise ValueError(f"no worth in {size_bytes} bytes that took {cost_s} s")
        self._drop(key)
        if size_bytes > self.max_bytes:
            return
        while self.size_bytes + size_bytes > self.max_bytes:
            self._evict()
        entry = _CacheEntry(value, size_bytes, cost_s / size_bytes)
        self._entries[key] = entry
        self.size_bytes += size_bytes
        self._renew(key, entry)
        self.on_change(key, True)

    def _renew(self, key: Hashable, entry: _CacheEntry[V]) -> None:
        """Give the entry its full worth at this hour of the clock."""
        self._last_place += 1
        entry.place = self._last_place
        heapq.heappush(self._heap, (self._clock + entry.cost_s_per_byte, entry.place, key))
        if len(self._heap) > 2 * len(self._entries) + MAX_STALE:
            # Each rebuild is paid for by as many pushes as it drops.
            self._heap = [item for item in self._heap if self._is_current(item)]
            heapq.heapify(self._heap)

    def _evict(self) -> None:
        item = heapq.heappop(self._heap)
        if self._is_current(item):
            worth, _, key = item
            self._clock = worth
            self._drop(key)
            self.num_evictions += 1

    def _is_current(self, item: tuple[float, int, Hashable]) -> bool:
        _, place, key = item
        entry = self._entries.get(key)
        return entry is not None and entry.place == place

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size_bytes -= entry.size_bytes
            self.on_change(key, False)


def window_key(salt: bytes, samples: NDArray[np.float32]) -> bytes:
    """Return a digest of a window's float32 samples, 32 bytes (SHA-256).

    `salt` belongs to a tenant: equal windows of two tenants have different keys,
    so that nobody learns from a quick answer what another has asked about. Both
    parts go in with their length, so that no bytes can move from one to the other.
    """
    digest = hashlib.sha256()
    for part in (salt, np.ascontiguousarray(samples, dtype="<f4").tobytes()):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()
