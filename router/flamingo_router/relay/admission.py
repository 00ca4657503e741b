"""The admission queue: requests wait for a ticket, until their deadline or the hold ends.

How it works. The balancer decides, without awaiting anything: it admits a request immediately,
or returns its place in the fair queue. For each place this module keeps a future. Every
event that can free a pod (a load report, a first byte, a settled ticket) calls
`dispatch_waiting`, which gets the next requests from the balancer and resolves their futures.
Between events a timer calls it, since a pod's backlog shrinks while nothing is reported.

A wait ends with a ticket, at the request's deadline, when the queue's own time limit has
passed, or when the client disconnects. Whichever it is, the place is removed from the fair
queue, and a ticket that arrived in the same instant as a cancellation is settled: an
abandoned request never leaves work reserved.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from flamingo_common.errors import DeadlineExceeded, FlamingoError, Overloaded
from flamingo_common.service import logs
from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing import policy
from flamingo_router.balancing.admission_limits import MIN_WAIT_S
from flamingo_router.balancing.balancer import Balancer
from flamingo_router.balancing.fair_queue import QueuedRequest
from flamingo_router.balancing.ledger import Ticket
from flamingo_router.balancing.request_info import RequestInfo

SendHeartbeat = Callable[[], Awaitable[None]]


class AdmissionQueue:
    """Hands out the balancer's tickets, and lets requests wait for them."""

    def __init__(self, balancer: Balancer, *, heartbeat_interval_s: float) -> None:
        self.balancer = balancer
        self._heartbeat_interval_s = heartbeat_interval_s
        self._tickets: dict[QueuedRequest, asyncio.Future[Ticket]] = {}
        self._has_waiting = asyncio.Event()
        self._has_report = asyncio.Event()

    async def acquire(self, info: RequestInfo, *, send_heartbeat: SendHeartbeat) -> Ticket:
        """Return the request's ticket, as soon as a pod is free.

        `send_heartbeat` is called every `heartbeat_interval_s` while the request waits.

        Raises:
            NoEndpointReady, Overloaded: it is not admitted, or has waited too long.
            DeadlineExceeded: its deadline cannot be met, or has passed.
        """
        admitted = self.balancer.admit(info, now_s=time.monotonic())
        if isinstance(admitted, Ticket):
            return admitted
        ticket: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._tickets[admitted] = ticket
        try:
            self.dispatch_waiting()
            await self._wait(admitted, ticket, send_heartbeat)
            return ticket.result()
        except BaseException:
            if ticket.done():  # it arrived in the instant in which the client disconnected
                self.settle(ticket.result())
            raise
        finally:
            self.balancer.cancel(admitted)
            del self._tickets[admitted]

    def dispatch_waiting(self, among: Iterable[str] | None = None) -> None:
        """Hand out tickets of the endpoints that are open: all, or those in `among`."""
        if not self._tickets:
            return
        now_s = time.monotonic()
        for queued, ticket in self.balancer.dispatch_waiting(now_s=now_s, among=among):
            self._tickets[queued].set_result(ticket)
        if self.balancer.queue:
            self._has_waiting.set()

    async def keep_dispatching(self) -> None:
        """Hand out tickets as time passes, until cancelled."""
        while True:
            await self._has_waiting.wait()
            await asyncio.sleep(self.balancer.recheck_after_s(now_s=time.monotonic()))
            self._has_waiting.clear()
            try:
                self.dispatch_waiting()
            except Exception:  # noqa: BLE001 - a bug in one decision must not end the router
                logs.get().exception("queue.dispatch_failed")

    def observe(self, address: str, load: LoadReport, *, requested_s: float) -> None:
        """Apply a pod's load report, which was requested at `requested_s`."""
        self.balancer.observe(address, load, requested_s=requested_s, now_s=time.monotonic())
        self.dispatch_waiting((address,))
        self._has_report.set()
        self._has_report = asyncio.Event()

    async def wait_for_report(self, timeout_s: float, *, send_heartbeat: SendHeartbeat) -> None:
        """Return after the next load report of any pod, or after `timeout_s`."""
        report = asyncio.ensure_future(self._has_report.wait())
        until_s = time.monotonic() + timeout_s
        try:
            while not report.done() and (left_s := until_s - time.monotonic()) > 0:
                interval_s = self._heartbeat_interval_s
                await asyncio.wait([report], timeout=min(left_s, interval_s))
                if left_s > interval_s and not report.done():
                    await send_heartbeat()
        finally:
            report.cancel()

    def mark_responding(self, ticket: Ticket) -> None:
        """Record that the pod has begun to respond."""
        self.balancer.fleet.mark_responding(ticket, now_s=time.monotonic())
        self.dispatch_waiting((ticket.address,))

    def settle(self, ticket: Ticket, *, answered_audio_s: float = 0.0) -> None:
        """Settle a ticket, and dispatch to the endpoint that it was for."""
        now_s = time.monotonic()
        self.balancer.settle(ticket, now_s=now_s, answered_audio_s=answered_audio_s)
        self.dispatch_waiting([ticket.address] if ticket.address in self.balancer.fleet else [])

    async def _wait(
        self, queued: QueuedRequest, ticket: asyncio.Future[Ticket], send_heartbeat: SendHeartbeat
    ) -> None:
        interval_s = self._heartbeat_interval_s
        while not ticket.done():
            now_s = time.monotonic()
            left_s = self._until_s(queued, now_s) - now_s
            if left_s <= 0:
                raise self._expired(queued, now_s)
            await asyncio.wait([ticket], timeout=min(left_s, interval_s))
            if left_s > interval_s and not ticket.done():
                await send_heartbeat()

    def _until_s(self, queued: QueuedRequest, now_s: float) -> float:
        """Return when the wait ends; while no pod is ready, the limit is another one."""
        limits = self.balancer.limits
        is_cold = self.balancer.is_cold(now_s=now_s)
        # The prediction was within the limit: a pod has died since, or shorter ones came.
        warm_s = max(limits.assumed_deadline_s - queued.cost_s, MIN_WAIT_S)
        max_wait_s = limits.cold_start_hold_s if is_cold else min(2 * limits.max_wait_s, warm_s)
        until_s = queued.since_s + max_wait_s
        return min(until_s, queued.info.deadline_s or until_s)

    def _expired(self, queued: QueuedRequest, now_s: float) -> FlamingoError:
        waited_s = now_s - queued.since_s
        if queued.info.deadline_s is not None and now_s >= queued.info.deadline_s:
            return DeadlineExceeded(f"the deadline passed after {waited_s:.1f} s in the queue")
        if self.balancer.is_cold(now_s=now_s):
            return policy.no_endpoint_ready(f"no pod became ready within {waited_s:.0f} s")
        retry_s = policy.NOT_READY_RETRY_S
        return Overloaded(
            f"no pod had capacity within {waited_s:.0f} s; retry in {retry_s:.0f} s",
            retry_after_s=retry_s,
        )
