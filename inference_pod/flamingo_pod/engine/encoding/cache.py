"""A cache of limited size that prefers entries that took long to compute for their size.

Pure: values are opaque, and the caller measures their cost. One thread owns a cache; others may
read its counters.
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
"""Stale heap items that are tolerated before the heap is rebuilt."""


@dataclass(slots=True)
class _CacheEntry(Generic[V]):
    value: V
    size_bytes: int
    cost_s_per_byte: float
    serial: int = 0
    """Of its current heap item; items with another serial are stale."""


class CostAwareCache(Generic[V]):
    """At most `max_bytes` of values; the one of least priority is evicted first.

    GreedyDual-Size (Cao & Irani, "Cost-Aware WWW Proxy Caching Algorithms",
    USITS 1997): when a value is put or got, its priority becomes

        clock + cost_s / size_bytes

    and when one is evicted, the clock becomes its priority. A value that took long to
    compute for its size therefore stays longer than its neighbours, but the clock catches
    up with every value that is not used. With equal costs per byte the policy is
    least-recently-used. All operations are O(log n), amortised.

    Unlike GreedyDual-Size-Frequency (Cherkasova 1998) it counts no uses: a clip is used in
    one conversation and then never again, however often it was used before.
    """

    def __init__(
        self, max_bytes: int, on_change: Callable[[Any, bool], None] = lambda *_: None
    ) -> None:
        self.max_bytes = max_bytes
        self.size_bytes = 0
        """Of all cached values."""
        self.num_hits = 0
        self.num_misses = 0
        self.on_change = on_change
        """Called with a key and whether it is in the cache from now on."""
        self.num_evictions = 0
        """Values evicted for another; replaced and oversized values do not count."""
        self._entries: dict[Hashable, _CacheEntry[V]] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        """`(priority, serial, key)`, least first; of equal priority, the least recently used."""
        self._clock = 0.0
        self._last_serial = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> V | None:
        """Return the value and restore its full priority; None if it is not cached."""
        entry = self._entries.get(key)
        if entry is None:
            self.num_misses += 1
            return None
        self.num_hits += 1
        self._renew(key, entry)
        return entry.value

    def put(self, key: Hashable, value: V, *, size_bytes: int, cost_s: float) -> None:
        """Cache a value that took `cost_s` to compute, replacing any other under `key`.

        A value larger than the whole cache is not cached.

        Raises:
            ValueError: the size is not positive, or the cost is negative or not finite.
        """
        if size_bytes < 1 or cost_s < 0 or not math.isfinite(cost_s):
            raise ValueError(f"invalid cache entry: {size_bytes} bytes, cost {cost_s} s")
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

    def clear(self) -> None:
        """Evict all values."""
        self.num_evictions += len(self._entries)
        for key in [*self._entries]:
            self._drop(key)
        self._heap.clear()

    def _renew(self, key: Hashable, entry: _CacheEntry[V]) -> None:
        """Give the entry its full priority at the present clock."""
        self._last_serial += 1
        entry.serial = self._last_serial
        heapq.heappush(self._heap, (self._clock + entry.cost_s_per_byte, entry.serial, key))
        if len(self._heap) > 2 * len(self._entries) + MAX_STALE:
            # Amortised: a rebuild drops as many items as were pushed since the last.
            self._heap = [item for item in self._heap if self._is_current(item)]
            heapq.heapify(self._heap)

    def _evict(self) -> None:
        item = heapq.heappop(self._heap)
        if self._is_current(item):
            priority, _, key = item
            self._clock = priority
            self._drop(key)
            self.num_evictions += 1

    def _is_current(self, item: tuple[float, int, Hashable]) -> bool:
        _, serial, key = item
        entry = self._entries.get(key)
        return entry is not None and entry.serial == serial

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size_bytes -= entry.size_bytes
            self.on_change(key, False)


def window_key(salt: bytes, samples: NDArray[np.float32]) -> bytes:
    """Return a digest of a window's float32 samples, 32 bytes (SHA-256).

    `salt` belongs to a tenant: equal windows of two tenants have different keys, so a fast
    response reveals nothing about what another tenant has sent. Each part is hashed with its
    length, so that no bytes can move from one to the other.
    """
    digest = hashlib.sha256()
    for part in (salt, np.ascontiguousarray(samples, dtype="<f4").tobytes()):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()
