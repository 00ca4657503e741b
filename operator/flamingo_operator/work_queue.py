"""Which deployments to reconcile, and when; each by one task at a time.

A key that is added while it is being reconciled is reconciled once more afterwards. A key
that failed is retried with exponential backoff and jitter, so that not all of them
reach an API server that has just recovered at once.
"""

import asyncio
import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flamingo_common.service.backoff import backoff_s

FIRST_RETRY_S, MAX_RETRY_S = 0.5, 60.0


@dataclass(slots=True)
class WorkQueue:
    """Keys of deployments, the soonest due first."""

    clock: Callable[[], float] = time.monotonic
    _due_s: dict[str, float] = field(default_factory=dict)
    """When each queued key is due; heap entries that differ are out of date."""
    _heap: list[tuple[float, str]] = field(default_factory=list)
    _processing: set[str] = field(default_factory=set)
    _num_failures: dict[str, int] = field(default_factory=dict)
    _not_before_s: dict[str, float] = field(default_factory=dict)
    """The backoff of keys that failed: adding them again does not shorten it."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __len__(self) -> int:
        return sum(due_s <= self.clock() for due_s in self._due_s.values())

    def add(self, key: str, *, after_s: float = 0.0) -> None:
        """Enqueue `key`, due after `after_s`; if it is queued for an earlier time, that stays."""
        due_s = max(self.clock() + after_s, self._not_before_s.get(key, 0.0))
        if due_s >= self._due_s.get(key, float("inf")):
            return
        self._due_s[key] = due_s
        heapq.heappush(self._heap, (due_s, key))
        self._changed.set()

    async def get(self) -> str:
        """Wait for a key that is due, and return it; call `done` or `failed` afterwards."""
        while True:
            key, wait_s = self._next()
            if key is not None:
                self._processing.add(key)
                del self._due_s[key]
                return key
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), wait_s)
            except TimeoutError:
                continue

    def _next(self) -> tuple[str | None, float | None]:
        """Return a key that is due, or else how long to wait for one."""
        blocked = []
        found, wait_s = None, None
        while self._heap:
            due_s, key = self._heap[0]
            if self._due_s.get(key) != due_s:
                heapq.heappop(self._heap)
            elif due_s > self.clock():
                wait_s = due_s - self.clock()
                break
            elif key in self._processing:
                blocked.append(heapq.heappop(self._heap))
            else:
                heapq.heappop(self._heap)
                found = key
                break
        for entry in blocked:
            heapq.heappush(self._heap, entry)
        return found, wait_s

    def done(self, key: str) -> None:
        """Mark a key as reconciled."""
        self._processing.discard(key)
        self._num_failures.pop(key, None)
        self._not_before_s.pop(key, None)
        self._changed.set()

    def failed(self, key: str, *, min_wait_s: float = 0.0) -> float:
        """Mark a key as failed, to be retried; return in how many seconds it is due."""
        num_failures = self._num_failures.get(key, 0) + 1
        self._num_failures[key] = num_failures
        wait_s = backoff_s(num_failures, first_s=FIRST_RETRY_S, max_s=MAX_RETRY_S)
        wait_s = max(min_wait_s, wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        self._processing.discard(key)
        self._not_before_s[key] = self.clock() + wait_s
        self._due_s.pop(key, None)
        self.add(key)
        return wait_s

    def longest_overdue_s(self) -> float:
        """Return for how long the key that is due longest has been due."""
        now_s = self.clock()
        return max((now_s - due_s for due_s in self._due_s.values() if due_s <= now_s), default=0.0)
