"""Where requests wait for their ticket, and what lets them go on.

Every event that may free a pod (a report, an answer that begins, a request that is
over) lets the balancer give out tickets; between events a timer does, since work is
also done while nothing is heard. A wait that is given up leaves nothing behind.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from flamingo_common.errors import DeadlineExceeded, FlamingoError, NoEndpointReady, Overloaded
from flamingo_common.service import logs
from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing import policy
from flamingo_router.balancing.balancer import Balancer
from flamingo_router.balancing.fair_queue import Waiting
from flamingo_router.balancing.ledger import Ticket
from flamingo_router.balancing.request_info import Ask

Beat = Callable[[], Awaitable[None]]


class Lobby:
    """See the module."""

    def __init__(self, balancer: Balancer, *, beat_s: float) -> None:
        self.balancer = balancer
        self._beat_s = beat_s
        self._tickets: dict[Waiting, asyncio.Future[Ticket]] = {}
        self._has_waiters = asyncio.Event()

    async def ticket(self, ask: Ask, *, beat: Beat) -> Ticket:
        """Return the request's ticket, once a pod is free; `beat` is called while it waits.

        Raises:
            NoEndpointReady, Overloaded: it is not taken, or has waited too long.
            DeadlineExceeded: its deadline has passed.
        """
        asked = self.balancer.ask(ask, now_s=time.monotonic())
        if isinstance(asked, Ticket):
            return asked
        ticket: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._tickets[asked] = ticket
        try:
            self.pump()
            await self._wait(asked, ticket, beat)
            return ticket.result()
        except BaseException:
            if ticket.done():  # it came in the instant in which the client left
                self.settle(ticket.result())
            raise
        finally:
            self.balancer.give_up(asked)
            del self._tickets[asked]

    def pump(self, among: Iterable[str] | None = None) -> None:
        """Give out the tickets that can be given."""
        if not self._tickets:
            return
        for waiting, ticket in self.balancer.pump(now_s=time.monotonic(), among=among):
            self._tickets[waiting].set_result(ticket)
        if self.balancer.queue.num:
            self._has_waiters.set()

    async def keep_pumping(self) -> None:
        """Give out tickets as time goes by, for ever."""
        while True:
            await self._has_waiters.wait()
            await asyncio.sleep(self.balancer.wake_s(now_s=time.monotonic()))
            self._has_waiters.clear()
            try:
                self.pump()
            except Exception:  # noqa: BLE001 - a bug in one choice must not end the router
                logs.get().exception("queue.failed")

    def observe(self, address: str, load: LoadReport, *, asked_s: float) -> None:
        """Take in a pod's report."""
        self.balancer.observe(address, load, asked_s=asked_s, now_s=time.monotonic())
        self.pump((address,))

    def mark_answered(self, ticket: Ticket) -> None:
        """Note that the pod has begun to answer."""
        self.balancer.fleet.mark_answered(ticket, now_s=time.monotonic())
        self.pump((ticket.address,))

    def settle(self, ticket: Ticket, *, answered_audio_s: float = 0.0) -> None:
        """Take a ticket back."""
        now_s = time.monotonic()
        self.balancer.settle(ticket, now_s=now_s, answered_audio_s=answered_audio_s)
        self.pump(address for address in (ticket.address,) if self.balancer.fleet.knows(address))

    async def _wait(self, waiting: Waiting, ticket: asyncio.Future[Ticket], beat: Beat) -> None:
        while not ticket.done():
            now_s = time.monotonic()
            left_s = self._until_s(waiting, now_s) - now_s
            if left_s <= 0:
                raise self._too_late(waiting, now_s)
            await asyncio.wait([ticket], timeout=min(left_s, self._beat_s))
            if left_s > self._beat_s and not ticket.done():
                await beat()

    def _until_s(self, waiting: Waiting, now_s: float) -> float:
        """Return when the wait is over: what is held for a first pod waits longer."""
        bounds = self.balancer.bounds
        is_cold = self.balancer.is_cold(now_s=now_s)
        until_s = waiting.since_s + (
            max(bounds.cold_start_hold_s, 0.0) if is_cold else 2 * bounds.max_wait_s
        )
        return min(until_s, waiting.ask.deadline_s or until_s)

    def _too_late(self, waiting: Waiting, now_s: float) -> FlamingoError:
        waited_s = now_s - waiting.since_s
        if waiting.ask.deadline_s is not None and now_s >= waiting.ask.deadline_s:
            return DeadlineExceeded(f"its deadline passed while it waited {waited_s:.1f} s")
        if self.balancer.is_cold(now_s=now_s):
            return NoEndpointReady(
                f"no pod became ready in {waited_s:.0f} s", retry_after_s=policy.RETRY_S
            )
        return Overloaded(f"no pod was free for {waited_s:.0f} s", retry_after_s=policy.RETRY_S)
