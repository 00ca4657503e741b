"""One attempt to have a request answered by one endpoint, and what its outcome means.

The outcome updates the endpoint's health, the quarantine of the clip and the metrics, decides
whether the endpoint's report is marked stale, and settles the ticket.
"""

import asyncio
import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web

from flamingo_common import errors
from flamingo_common.service import http, logs, traces
from flamingo_router.balancing.ledger import Ticket
from flamingo_router.balancing.quarantine import Quarantine
from flamingo_router.balancing.request_info import RequestInfo
from flamingo_router.metrics import Metrics
from flamingo_router.relay import held_requests
from flamingo_router.relay.admission import AdmissionQueue
from flamingo_router.relay.relay import AttemptFailed, FailureReason, RelayedRequest, relay_request

POD_FAILURE_STATUSES = frozenset({500, 502, 504})
"""A pod that returns these may be unhealthy; a 4xx is caused by the request, and 503 and 429
are those of a busy pod."""
ANSWERED, BROKEN = "answered", "broken"


@dataclass(frozen=True, slots=True)
class OutcomeSinks:
    """What the outcome of an attempt is recorded in."""

    queue: AdmissionQueue
    quarantine: Quarantine
    metrics: Metrics


class Attempt:
    """One request at one endpoint; leaving the `with` block settles its ticket."""

    def __init__(
        self, ticket: Ticket, relayed: RelayedRequest, info: RequestInfo, sinks: OutcomeSinks
    ) -> None:
        self.ticket = ticket
        self.outcome = BROKEN
        """A label of the metric; `broken`: the pod or the client disconnected in mid-response."""
        self._sent_s = time.monotonic()
        self._relayed = relayed
        self._info = info
        self._sinks = sinks

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        answered_s = self._info.audio_s if self.outcome == ANSWERED else 0.0
        self._sinks.queue.settle(self.ticket, answered_audio_s=answered_s)
        self._sinks.metrics.count_attempt(self.ticket.address, self.outcome)

    async def run(self) -> web.StreamResponse:
        """Return the endpoint's response, sent to its end, and record the outcome.

        Raises:
            AttemptFailed: nothing was sent to the client, so another endpoint can be tried.
            UpstreamLost: the pod closed the connection after it had begun to respond.
            DeadlineExceeded: the deadline passed before the pod began to respond.
        """
        try:
            response = await self._relay_by_deadline()
        except AttemptFailed as failure:
            self.outcome = failure.reason.value
            self._record_failed_attempt(failure.reason)
            raise
        except errors.UpstreamLost:
            self._record_lost()
            raise
        self._record_response(response)
        return response

    async def _relay_by_deadline(self) -> web.StreamResponse:
        info, relayed = self._info, self._relayed
        try:
            async with asyncio.timeout_at(info.deadline_s) as deadline:

                def on_responding(headers: Mapping[str, str]) -> None:
                    deadline.reschedule(None)
                    self._sinks.queue.mark_responding(self.ticket)
                    balancer, now_s = self._sinks.queue.balancer, time.monotonic()
                    held_requests.record(balancer, info, self.ticket.address, headers, now_s=now_s)

                relayed = dataclasses.replace(
                    relayed,
                    clip=info.clip,
                    priority=info.priority,
                    deadline_s=info.deadline_s,
                    on_arrived=self._on_arrived,
                    on_sent=self._on_sent,
                    on_responding=on_responding,
                    on_first_event=self._on_first_event,
                )
                return await relay_request(relayed, self.ticket.address)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise errors.DeadlineExceeded(
                "the deadline passed before a pod started responding"
            ) from None

    def _on_arrived(self) -> None:
        fleet = self._sinks.queue.balancer.fleet
        fleet.mark_arrived(self.ticket, self._relayed.body.arrived_share)

    def _on_sent(self) -> None:
        self._sinks.queue.balancer.fleet.mark_sent(self.ticket, now_s=time.monotonic())

    def _on_first_event(self) -> None:
        after_s = time.monotonic() - self._relayed.request[http.STARTED_S]
        exemplar = traces.current_span().exemplar
        self._sinks.metrics.observe_first_token(self._info.audio_s, after_s, exemplar)

    def _record_response(self, response: web.StreamResponse) -> None:
        # The pod has broken off during the response.
        if self._relayed.request[http.LOG_FIELDS].get("error") == errors.UpstreamLost.code:
            self._record_lost()
            return
        self.outcome = ANSWERED
        if response.status in POD_FAILURE_STATUSES:
            self._record_pod_failure()
            return
        fleet = self._sinks.queue.balancer.fleet
        fleet.record_success(self.ticket.address, sent_s=self._sent_s)
        if self._info.clip is not None:
            self._sinks.quarantine.clear(self._info.clip)

    def _record_failed_attempt(self, reason: FailureReason) -> None:
        if reason is FailureReason.LOST:  # the next connection can succeed
            self._record_lost()
            return
        fleet = self._sinks.queue.balancer.fleet
        fleet.mark_stale(self.ticket.address, now_s=time.monotonic())
        if reason is FailureReason.REFUSED:
            self._record_pod_failure()

    def _record_lost(self) -> None:
        """Record that the pod closed the connection: it may be unhealthy, or the clip corrupt."""
        self._record_pod_failure()
        if self._info.clip is not None:
            fleet, address = self._sinks.queue.balancer.fleet, self.ticket.address
            process = fleet.process(address)
            self._sinks.quarantine.record_crash(self._info.clip, process, now_s=time.monotonic())

    def _record_pod_failure(self) -> None:
        fleet, address = self._sinks.queue.balancer.fleet, self.ticket.address
        if fleet.record_failure(address, sent_s=self._sent_s, now_s=time.monotonic()):
            logs.get().warning("endpoint.ejected", endpoint=address)
