"""The story of one request: hear, predict, wait, relay, settle.

It is tried on another endpoint only while nothing of an answer has reached the client
and the body can be sent again, never twice on the same one, only once more after a
connection broke, and only while not too many are tried again: a clip that kills pods
must not go round the fleet, and a fleet that is ill must not get twice the work.
"""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_common.service import auth, http, logs
from flamingo_common.wire import AUDIO_HEADER
from flamingo_router.balancing import cost, policy
from flamingo_router.balancing.ledger import Ticket
from flamingo_router.balancing.quarantine import Quarantine
from flamingo_router.balancing.quota import Quotas
from flamingo_router.balancing.request_info import Ask
from flamingo_router.balancing.retry_budget import RetryBudget
from flamingo_router.metrics import Metrics
from flamingo_router.relay.admission import Lobby
from flamingo_router.relay.heartbeat import Heartbeat
from flamingo_router.relay.relay import Call, Unanswered, Why, relay
from flamingo_router.request import audio_length, clip_name, hints
from flamingo_router.request.body import Body, Limits
from flamingo_router.request.scan import Scan
from flamingo_router.request.url_probe import UrlProbe

MAX_LOST = 2
FAULTS = frozenset({500, 502, 504})
"""A pod that answers so may be ill; 4xx is the request's fault, 503 and 429 are a busy pod's."""


@dataclass(slots=True)
class Tries:
    """What became of a request so far."""

    failures: dict[str, Unanswered] = field(default_factory=dict)
    """By address: the tries that came to no answer."""
    is_budgeted: bool = False
    """Whether it has taken a try out of the budget."""


@dataclass(frozen=True)
class Dispatcher:
    """What every request needs."""

    lobby: Lobby
    session: aiohttp.ClientSession
    metrics: Metrics
    limits: Limits
    quarantine: Quarantine = field(default_factory=Quarantine)
    quotas: Quotas = field(default_factory=Quotas)
    budget: RetryBudget = field(default_factory=RetryBudget)
    urls: UrlProbe | None = None
    """None: what a URL holds counts as a song."""

    async def dispatch(self, request: web.Request) -> web.StreamResponse:
        """Return the answer of the endpoint where the request is done first, sent to its end."""
        now_s, key = time.monotonic(), auth.caller(request)
        ask = hints.ask_of(request.path, request.headers, now_s=now_s)
        if key is not None:
            ask = dataclasses.replace(ask, tenant=key.name, weight=key.weight)
        is_work = ask.route in cost.SHAPES
        if is_work:
            self.lobby.balancer.check(ask, now_s=now_s)  # a refusal comes before the upload
        body = Body(request, self.limits)
        heartbeat, tries = Heartbeat(request), Tries()
        try:
            ask = await self._heard(request, body, ask, heartbeat)
            ticket = await (self._waited(ask, heartbeat) if is_work else self._at_once(ask))
            return await self._tried(
                Call(request, body, self.session, heartbeat), ask, ticket, tries
            )
        except errors.FlamingoError as error:
            if heartbeat.response is None:
                raise
            return await heartbeat.end(error)
        finally:
            body.close()
            if tries.is_budgeted:
                self.budget.give_back()

    async def _heard(self, request: web.Request, body: Body, ask: Ask, heartbeat: Heartbeat) -> Ask:
        """Return what is asked, once enough of the body is there.

        Raises:
            ClipQuarantined: its clip has broken pods.
        """
        scan = await _scanned(body, request.headers)
        heard = await self._at_url(scan) or audio_length.heard(scan, unseen_bytes=body.unread_bytes)
        request_hints = hints.hints_of(scan.head)
        heartbeat.is_wanted = request_hints.is_stream
        self.metrics.audio_seconds.labels(heard.source).inc(heard.seconds)
        self.quotas.charge(ask.tenant, heard.seconds)
        request[http.LOG_FIELDS].update(audio_s=round(heard.seconds, 2), audio_source=heard.source)
        clip = clip_name.clip_name(scan.sample, heard.seconds, tenant=ask.tenant)
        if clip is not None:
            self._refuse_held_back(clip)
        return dataclasses.replace(
            ask, audio_s=heard.seconds, clip=clip, max_tokens=request_hints.max_tokens
        )

    async def _at_url(self, scan: Scan) -> audio_length.Heard | None:
        if self.urls is None or scan.url is None:
            return None
        clip = await self.urls.clip(scan.url)
        return audio_length.Heard(clip.seconds, clip.source) if clip else None

    def _refuse_held_back(self, clip: str) -> None:
        left_s = self.quarantine.left_s(clip, now_s=time.monotonic())
        if left_s > 0:
            raise errors.ClipQuarantined(
                "two pods broke off while they had this clip, so it is sent to none for"
                f" {left_s:.0f} s; is the file whole?",
                param="audio",
            )

    async def _waited(self, ask: Ask, heartbeat: Heartbeat) -> Ticket:
        with self.metrics.wait_seconds.labels(ask.priority.name.lower()).time():
            return await self.lobby.ticket(ask, beat=heartbeat.beat)

    async def _at_once(self, ask: Ask) -> Ticket:
        return self.lobby.balancer.again(ask, without=(), now_s=time.monotonic())

    async def _tried(
        self, call: Call, ask: Ask, ticket: Ticket, tries: Tries
    ) -> web.StreamResponse:
        while True:
            outcome = "broken"  # by the pod in mid-answer, or by the client
            try:
                answer = await self._relayed(call, ask, ticket, len(tries.failures) + 1)
                if "error" not in call.request[http.LOG_FIELDS]:
                    outcome = "answered"
                self._note_answer(ask, ticket, answer.status, outcome)
                self._charge_rest(ask, answer)
            except Unanswered as failure:
                outcome = failure.why.value
                self._note_failure(ask, ticket, failure, tries)
                following = self._next(call, ask, tries)
                if following is None:
                    return _last_word(tries)
                self.metrics.retries.labels(outcome).inc()
            except errors.UpstreamLost:
                self._note_lost(ask, ticket)
                raise
            else:
                return answer
            finally:
                self._settle(ask, ticket, outcome)
            ticket = following

    async def _relayed(
        self, call: Call, ask: Ask, ticket: Ticket, number: int
    ) -> web.StreamResponse:
        """Relay to the ticket's endpoint, given up when nothing has come by the deadline."""
        self.budget.see(self.lobby.balancer.fleet.num_open, now_s=time.monotonic())
        call.request[http.LOG_FIELDS].update(
            endpoint=ticket.address, cost_s=round(ticket.cost_s, 3), attempts=number
        )
        sent = dataclasses.replace(
            call, clip=ask.clip, deadline_s=ask.deadline_s, on_sent=self._on_sent(ticket)
        )
        try:
            async with asyncio.timeout_at(ask.deadline_s) as deadline:

                def on_answered() -> None:
                    deadline.reschedule(None)
                    self.lobby.mark_answered(ticket)

                return await relay(
                    dataclasses.replace(sent, on_answered=on_answered), ticket.address
                )
        except TimeoutError:
            if not deadline.expired():
                raise
            raise errors.DeadlineExceeded("its deadline passed before a pod had begun") from None

    def _on_sent(self, ticket: Ticket) -> Callable[[], None]:
        def on_sent() -> None:
            self.lobby.balancer.fleet.mark_sent(ticket, now_s=time.monotonic())

        return on_sent

    def _note_answer(self, ask: Ask, ticket: Ticket, status: int, outcome: str) -> None:
        if outcome != "answered":
            self._note_lost(ask, ticket)
        elif status in FAULTS:
            self._note_fault(ticket)
        else:
            self.lobby.balancer.fleet.note_success(ticket.address)
            if ask.clip is not None:
                self.quarantine.acquit(ask.clip)

    def _charge_rest(self, ask: Ask, answer: web.StreamResponse) -> None:
        """Charge what the pod heard, where it says so, instead of what was expected."""
        with contextlib.suppress(KeyError, ValueError):
            self.quotas.charge(ask.tenant, float(answer.headers[AUDIO_HEADER]) - ask.audio_s)

    def _note_failure(self, ask: Ask, ticket: Ticket, failure: Unanswered, tries: Tries) -> None:
        tries.failures[ticket.address] = failure
        if failure.why is Why.LOST:  # a broken connection says nothing of the next one
            self._note_lost(ask, ticket)
            return
        self.lobby.balancer.fleet.set_aside(ticket.address, now_s=time.monotonic())
        if failure.why is Why.REFUSED:
            self._note_fault(ticket)

    def _note_lost(self, ask: Ask, ticket: Ticket) -> None:
        """Note that a pod broke off: it may be ill, or its clip may be poison."""
        self._note_fault(ticket)
        if ask.clip is not None:
            pod = f"{ticket.address} {self.lobby.balancer.fleet.epoch(ticket.address)}"
            self.quarantine.blame(ask.clip, pod, now_s=time.monotonic())

    def _note_fault(self, ticket: Ticket) -> None:
        if self.lobby.balancer.fleet.note_failure(ticket.address, now_s=time.monotonic()):
            logs.get().warning("endpoint.ejected", endpoint=ticket.address)

    def _settle(self, ask: Ask, ticket: Ticket, outcome: str) -> None:
        answered_s = ask.audio_s if outcome == "answered" else 0.0
        self.lobby.settle(ticket, answered_audio_s=answered_s)
        self.metrics.attempts.labels(ticket.address, outcome).inc()

    def _next(self, call: Call, ask: Ask, tries: Tries) -> Ticket | None:
        """Return a ticket of another endpoint, if the request may be, and can be, tried again."""
        num_lost = sum(failure.why is Why.LOST for failure in tries.failures.values())
        if not call.body.is_replayable or num_lost >= MAX_LOST:
            return None
        if num_lost and not self._is_paid_for(tries):
            self.metrics.retries.labels("over_budget").inc()
            return None
        try:
            return self.lobby.balancer.again(ask, without=tries.failures, now_s=time.monotonic())
        except errors.Unavailable:
            return None

    def _is_paid_for(self, tries: Tries) -> bool:
        num_pods = len(self.lobby.balancer.fleet.addresses)
        tries.is_budgeted = tries.is_budgeted or self.budget.take(num_pods=num_pods)
        return tries.is_budgeted


async def _scanned(body: Body, headers: Mapping[str, str]) -> Scan:
    """Return the scan of the body's first bytes, once it has seen enough."""
    scan = audio_length.scan_of(headers.get(hdrs.CONTENT_TYPE, ""), body.total_bytes)
    number = 0
    while not scan.is_done and (chunk := await body.chunk(number)):
        scan.feed(chunk)
        number += 1
    return scan


def _last_word(tries: Tries) -> web.Response:
    """Return what the last pod said, if it said anything.

    Raises:
        UpstreamLost: a pod took the request and broke off before it answered.
        NoEndpointReady: no pod could be reached.
    """
    *_, last = tries.failures.values()
    if last.answer is not None:
        return last.answer
    if any(failure.why is Why.LOST for failure in tries.failures.values()):
        raise errors.UpstreamLost(
            "the pod went away before it answered", retry_after_s=policy.MIN_RETRY_S
        )
    raise errors.NoEndpointReady("no pod could be reached", retry_after_s=policy.RETRY_S)
