"""Permits to have a line in flight, as many as the fleet accepts at the moment.

API keys take turns, whatever number of batches each has.
"""

import asyncio
import time
from collections import deque

from flamingo_common.service.concurrency_limit import ConcurrencyLimit


class Permits:
    """Permits of one replica: of each key, the line that waits longest is next."""

    def __init__(self, max_limit: int) -> None:
        self._limit = ConcurrencyLimit(max_limit=max_limit)
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By owner; the first one's turn is next."""
        self._paused_until_s = 0.0
        self.num_in_flight = 0

    @property
    def limit(self) -> int:
        """How many lines may be in flight."""
        return self._limit.limit()

    async def acquire(self, owner: str) -> None:
        """Wait for a permit for a line of `owner`."""
        if not self._waiting and self._is_free():
            self.num_in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()
            raise

    def release(self) -> None:
        """Return a permit after an answer that has nothing to do with load."""
        self._limit.on_success()
        self._release()

    def release_refused(self, retry_after_s: float | None) -> None:
        """Return a permit after the fleet refused the line: nothing is sent for a while."""
        pause_s = self._limit.on_refused(retry_after_s)
        self._paused_until_s = max(self._paused_until_s, time.monotonic() + pause_s)
        asyncio.get_running_loop().call_later(pause_s, self._wake)
        self._release()

    def abandon(self) -> None:
        """Return a permit without an answer: the line was cancelled."""
        self._release()

    def _release(self) -> None:
        self.num_in_flight -= 1
        self._wake()

    def _is_free(self) -> bool:
        return self.num_in_flight < self.limit and time.monotonic() >= self._paused_until_s

    def _wake(self) -> None:
        while self._waiting and self._is_free():
            owner = next(iter(self._waiting))
            turns = self._waiting.pop(owner)
            turn = turns.popleft()
            if turns:
                self._waiting[owner] = turns  # behind the others
            if not turn.done():
                self.num_in_flight += 1
                turn.set_result(None)
