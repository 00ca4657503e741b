"""Which deployments to look at, and when: each is with one worker at a time.

A key that is added while a worker has it is looked at once more afterwards. A
key that failed comes back later and later, with jitter, so that an API server
that comes up again is not met by all at once.
"""

import asyncio
import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_WAIT_S, MAX_WAIT_S = 0.5, 60.0


@dataclass(slots=True)
class WorkQueue:
    """Keys, soonest first."""

    clock: Callable[[], float] = time.monotonic
    _due_s: dict[str, float] = field(default_factory=dict)
    """When each waiting key is due; what the heap says otherwise is out of date."""
    _heap: list[tuple[float, str]] = field(default_factory=list)
    _held: set[str] = field(default_factory=set)
    _num_failures: dict[str, int] = field(default_factory=dict)
    _not_before_s: dict[str, float] = field(default_factory=dict)
    """Of keys that failed: news does not shorten their wait."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __len__(self) -> int:
        return sum(due_s <= self.clock() for due_s in self._due_s.values())

    def add(self, key: str, *, after_s: float = 0.0) -> None:
        """Look at `key` after some time, or sooner if that was asked before."""
        due_s = max(self.clock() + after_s, self._not_before_s.get(key, 0.0))
        if due_s >= self._due_s.get(key, float("inf")):
            return
        self._due_s[key] = due_s
        heapq.heappush(self._heap, (due_s, key))
        self._news.set()

    async def take(self) -> str:
        """Return the next key that is due; it is the caller's until `done` or `failed`."""
        while True:
            key, wait_s = self._next()
            if key is not None:
                self._held.add(key)
                del self._due_s[key]
                return key
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), wait_s)
            except TimeoutError:
                continue

    def _next(self) -> tuple[str | None, float | None]:
        """Return a key that is due, or how long until one may be."""
        put_back = []
        found, wait_s = None, None
        while self._heap:
            due_s, key = self._heap[0]
            if self._due_s.get(key) != due_s:
                heapq.heappop(self._heap)
            elif due_s > self.clock():
                wait_s = due_s - self.clock()
                break
            elif key in self._held:
                put_back.append(heapq.heappop(self._heap))
            else:
                heapq.heappop(self._heap)
                found = key
                break
        for entry in put_back:
            heapq.heappush(self._heap, entry)
        return found, wait_s

    def done(self, key: str) -> None:
        """Give a key back; all went well."""
        self._held.discard(key)
        self._num_failures.pop(key, None)
        self._not_before_s.pop(key, None)
        self._news.set()

    def failed(self, key: str, *, at_least_s: float = 0.0) -> float:
        """Give a key back to be tried again; return in how many seconds."""
        num = self._num_failures.get(key, 0)
        self._num_failures[key] = num + 1
        wait_s = min(MAX_WAIT_S, FIRST_WAIT_S * 2.0 ** min(num, 10))
        wait_s = max(at_least_s, wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
        self._held.discard(key)
        self._not_before_s[key] = self.clock() + wait_s
        self._due_s.pop(key, None)
        self.add(key)
        return wait_s

    def oldest_s(self) -> float:
        """Return for how long the longest-waiting key has been due."""
        now_s = self.clock()
        return max((now_s - due_s for due_s in self._due_s.values() if due_s <= now_s), default=0.0)
