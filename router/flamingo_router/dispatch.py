"""The story of one request: hear, predict, choose, reserve, relay, settle.

It is tried on another endpoint only while nothing has reached the client and the body
can be sent again, never twice on the same one, and only once more after a connection
broke: a clip that kills pods must not go round the fleet.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp import hdrs, web

from flamingo import errors
from flamingo.service import http
from flamingo_router import cost, head, policy
from flamingo_router.body import Body, Limits
from flamingo_router.fleet import Fleet, Ticket
from flamingo_router.metrics import Metrics
from flamingo_router.relay import Call, Unanswered, Why, relay

MAX_LOST = 2
Failures = dict[str, Unanswered]
"""By address: the tries that came to no answer."""


@dataclass(frozen=True)
class Dispatcher:
    """What every request needs."""

    fleet: Fleet
    session: aiohttp.ClientSession
    metrics: Metrics
    limits: Limits
    ceiling_s: float

    async def dispatch(self, request: web.Request) -> web.StreamResponse:
        """Return the answer of the endpoint where the request is done first, sent to its end."""
        failures: Failures = {}
        self._choose(request.path, head.SILENCE, failures)  # a refusal comes before the upload
        body = Body(request, self.limits)
        heard = await _hear(body, request.headers)
        self._note_audio(request, heard)
        while True:
            ticket = self._reserve(request, heard, failures)
            outcome = "broken"  # by the pod in mid-answer, or by the client
            try:
                answer = await relay(self._call(request, body, ticket), ticket.address)
                if "error" not in request[http.FACTS]:
                    outcome = "answered"
            except Unanswered as failure:
                outcome = failure.why.value
                self._note_failure(ticket, failure, failures)
                if not self._may_go_on(request.path, body, failures):
                    return _last_word(failures)
                self.metrics.retries.labels(outcome).inc()
            else:
                return answer
            finally:
                self._settle(ticket, outcome)

    def _choose(self, route: str, heard: head.Heard, failures: Failures) -> policy.Offer:
        offers = (
            policy.Offer(endpoint, cost.cost_s(route, heard.seconds, endpoint.load))
            for endpoint in self.fleet.endpoints(now_s=time.monotonic())
            if endpoint.address not in failures
        )
        return policy.choose(offers, ceiling_s=self.ceiling_s)

    def _reserve(self, request: web.Request, heard: head.Heard, failures: Failures) -> Ticket:
        with self.metrics.decision_seconds.time():
            offer = self._choose(request.path, heard, failures)
            ticket = self.fleet.reserve(offer.endpoint.address, offer.cost_s)
        request[http.FACTS].update(
            endpoint=ticket.address, cost_s=round(ticket.cost_s, 3), attempts=len(failures) + 1
        )
        return ticket

    def _call(self, request: web.Request, body: Body, ticket: Ticket) -> Call:
        def on_sent() -> None:
            self.fleet.mark_sent(ticket, now_s=time.monotonic())

        return Call(request, body, self.session, on_sent)

    def _note_audio(self, request: web.Request, heard: head.Heard) -> None:
        self.metrics.audio_seconds.labels(heard.source).inc(heard.seconds)
        request[http.FACTS].update(audio_s=round(heard.seconds, 2), audio_source=heard.source)

    def _note_failure(self, ticket: Ticket, failure: Unanswered, failures: Failures) -> None:
        failures[ticket.address] = failure
        if failure.why is not Why.LOST:  # a broken connection says nothing of the next one
            self.fleet.set_aside(ticket.address, now_s=time.monotonic())

    def _settle(self, ticket: Ticket, outcome: str) -> None:
        self.fleet.settle(ticket)
        self.metrics.attempts.labels(ticket.address, outcome).inc()

    def _may_go_on(self, route: str, body: Body, failures: Failures) -> bool:
        """Whether the request may be, and can be, sent to yet another endpoint."""
        num_lost = sum(failure.why is Why.LOST for failure in failures.values())
        if not body.is_replayable or num_lost >= MAX_LOST:
            return False
        try:
            self._choose(route, head.SILENCE, failures)
        except errors.Unavailable:
            return False
        return True


async def _hear(body: Body, headers: Mapping[str, str]) -> head.Heard:
    """Return how much audio the body brings, once enough of it is there."""
    scan = head.scan_of(headers.get(hdrs.CONTENT_TYPE, ""), body.total_bytes)
    number = 0
    while not scan.is_done and (chunk := await body.chunk(number)):
        scan.feed(chunk)
        number += 1
    return head.heard(scan, unseen_bytes=body.unread_bytes)


def _last_word(failures: Failures) -> web.Response:
    """Return what the last pod said, if it said anything.

    Raises:
        UpstreamLost: a pod took the request and broke off before it answered.
        NoEndpointReady: no pod could be reached.
    """
    *_, last = failures.values()
    if last.answer is not None:
        return last.answer
    if any(failure.why is Why.LOST for failure in failures.values()):
        raise errors.UpstreamLost(
            "the pod went away before it answered", retry_after_s=policy.MIN_RETRY_S
        )
    raise errors.NoEndpointReady("no pod could be reached", retry_after_s=policy.RETRY_S)
