"""Lets requests through as fast as the fleet accepts them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from flamingo.batch.failures import FleetUnavailable
from flamingo_common.errors import FlamingoError
from flamingo_common.service.concurrency_limit import ConcurrencyLimit

FIRST_IN_FLIGHT = 16
"""Enough to keep a pod busy from the start; the limit doubles with each round of answers."""
Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Gate:
    """How many requests may be in flight now, and when the next may be sent."""

    def __init__(
        self, *, max_in_flight: int, max_outage_s: float, clock: Clock, sleep: Sleep
    ) -> None:
        """Stop the batch when the fleet has accepted nothing for `max_outage_s`."""
        self._limit = ConcurrencyLimit(max_limit=max_in_flight, first_limit=FIRST_IN_FLIGHT)
        self._max_outage_s = max_outage_s
        self._clock = clock
        self._sleep = sleep
        self._num_in_flight = 0
        self._resume_s = 0.0
        """When the next request may be sent."""
        self._refused_since_s: float | None = None
        """When the fleet began to refuse everything."""
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Wait until a request may be sent, and count it."""
        while True:
            if (pause_s := self._resume_s - self._clock()) > 0:
                await self._sleep(pause_s)
            elif self._num_in_flight >= self._limit.limit():
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter
            else:
                self._num_in_flight += 1
                return

    def leave_answered(self) -> None:
        """Record that a request was answered, with a result or an error about itself."""
        self._refused_since_s = None
        self._limit.on_success()
        self.leave()

    def leave_refused(self, error: FlamingoError) -> None:
        """Record that the fleet did not accept a request.

        Raises:
            FleetUnavailable: it has accepted nothing for `max_outage_s`.
        """
        now_s = self._clock()
        self._resume_s = max(self._resume_s, now_s + self._limit.on_refused(error.retry_after_s))
        self.leave()
        if self._refused_since_s is None:
            self._refused_since_s = now_s
        if (outage_s := now_s - self._refused_since_s) >= self._max_outage_s:
            raise FleetUnavailable(
                f"the fleet has accepted no request for {outage_s:.0f} s; the last error:"
                f" {error.message}. All results until now are kept; run the batch again to continue"
            )

    def leave(self) -> None:
        """Record that a request ended in a way that says nothing about load."""
        self._num_in_flight -= 1
        for _ in range(2):  # for its own place, and for the one by which the limit has grown
            self._wake_one()

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():  # otherwise its task was cancelled
                waiter.set_result(None)
                return
