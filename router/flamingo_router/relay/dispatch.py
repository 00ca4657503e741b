"""The flow of one request: measure its audio, wait for a ticket, attempt, retry.

A request is retried on another endpoint only while nothing of a response has reached the
client and the body can be sent again; never twice on the same endpoint; only once after a
lost connection; and only within the retry budget. A clip that crashes pods must not
be tried on all of them, and an overloaded fleet must not get twice the work.
"""

import contextlib
import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_common.service import auth, http
from flamingo_common.wire import AUDIO_HEADER
from flamingo_router.balancing import cost, policy
from flamingo_router.balancing.ledger import Ticket
from flamingo_router.balancing.quarantine import Quarantine
from flamingo_router.balancing.quota import Quotas
from flamingo_router.balancing.request_info import RequestInfo
from flamingo_router.balancing.retry_budget import RetryBudget
from flamingo_router.metrics import Metrics
from flamingo_router.relay.admission import AdmissionQueue
from flamingo_router.relay.attempt import Attempt, OutcomeSinks
from flamingo_router.relay.heartbeat import Heartbeat
from flamingo_router.relay.relay import AttemptFailed, FailureReason, RelayedRequest
from flamingo_router.request import audio_length, clip_name, hints
from flamingo_router.request.audio_length import AudioLength
from flamingo_router.request.body import Body, BodyLimits
from flamingo_router.request.scan import Scan
from flamingo_router.request.url_probe import UrlProbe

MAX_LOST = 2


@dataclass(slots=True)
class FailedAttempts:
    """The failed attempts of one request."""

    failures: dict[str, AttemptFailed] = field(default_factory=dict)
    """The last failure at each address."""
    is_budgeted: bool = False
    """Whether the request has acquired a part of the retry budget."""

    @property
    def num_lost(self) -> int:
        """How many of them lost their connection."""
        return sum(each.reason is FailureReason.LOST for each in self.failures.values())


@dataclass(frozen=True)
class Dispatcher:
    """Handles requests; holds the state that they share."""

    queue: AdmissionQueue
    session: aiohttp.ClientSession
    metrics: Metrics
    limits: BodyLimits
    quotas: Quotas
    urls: UrlProbe | None
    """None: the length of a clip at a URL is assumed."""
    quarantine: Quarantine = field(default_factory=Quarantine)
    budget: RetryBudget = field(default_factory=RetryBudget)

    async def dispatch(self, request: web.Request) -> web.StreamResponse:
        """Return the response of the endpoint where the request finishes first, fully sent.

        Raises:
            FlamingoError: the request is rejected, or no endpoint has answered it.
        """
        info, is_work = self._request_info(request), request.path in cost.ROUTE_PROFILES
        if is_work:  # reject it before the upload
            self.queue.balancer.check_admission(info, now_s=time.monotonic())
        body = Body(request, self.limits)
        heartbeat, attempts = Heartbeat(request), FailedAttempts()
        try:
            info = await self._with_audio(request, body, info, heartbeat)
            ticket = await (self._wait(info, heartbeat) if is_work else self._reserve_now(info))
            relayed = RelayedRequest(request, body, self.session, heartbeat)
            return await self._attempt(relayed, info, ticket, attempts)
        except errors.FlamingoError as error:
            if heartbeat.response is None:
                raise
            return await heartbeat.end_with_error(error)
        finally:
            body.close()
            if attempts.is_budgeted:
                self.budget.release()

    def _request_info(self, request: web.Request) -> RequestInfo:
        """Return the request's options in its headers, and its tenant."""
        info = hints.parse_headers(request.path, request.headers, now_s=time.monotonic())
        if (key := auth.caller(request)) is None:
            return info
        return dataclasses.replace(info, tenant=key.name, weight=key.weight)

    async def _with_audio(
        self, request: web.Request, body: Body, info: RequestInfo, heartbeat: Heartbeat
    ) -> RequestInfo:
        """Return `info` with the audio's length, the clip and the options of the body.

        Reads only as much of the body as that needs.

        Raises:
            ClipQuarantined: its clip has crashed pods.
        """
        scan = await _scan_body(body, request.headers)
        audio = await self._length_at_url(scan) or audio_length.measure(
            scan, unread_bytes=body.unread_bytes
        )
        body_hints = hints.parse_body(scan.head)
        heartbeat.is_streaming = body_hints.is_stream
        self.metrics.audio_seconds.labels(audio.source).inc(audio.seconds)
        self.quotas.charge_audio(info.tenant, audio.seconds)
        request[http.LOG_FIELDS].update(audio_s=round(audio.seconds, 2), audio_source=audio.source)
        clip = clip_name.clip_name(scan.sample, audio.seconds, tenant=info.tenant)
        if clip is not None:
            self._reject_quarantined(clip)
        return dataclasses.replace(
            info, audio_s=audio.seconds, clip=clip, max_tokens=body_hints.max_tokens
        )

    async def _length_at_url(self, scan: Scan) -> AudioLength | None:
        if self.urls is None or scan.url is None:
            return None
        clip = await self.urls.probe(scan.url)
        return AudioLength(clip.seconds, clip.source) if clip else None

    def _reject_quarantined(self, clip: str) -> None:
        blocked_s = self.quarantine.blocked_for_s(clip, now_s=time.monotonic())
        if blocked_s > 0:
            raise errors.ClipQuarantined(
                f"this clip crashed two pods and is blocked for {blocked_s:.0f} s;"
                " is the file corrupt?",
                param="audio",
            )

    async def _wait(self, info: RequestInfo, heartbeat: Heartbeat) -> Ticket:
        with self.metrics.wait_seconds.labels(info.priority.name.lower()).time():
            return await self.queue.acquire(info, send_heartbeat=heartbeat.send)

    async def _reserve_now(self, info: RequestInfo) -> Ticket:
        return self.queue.balancer.reassign(info, without=(), now_s=time.monotonic())

    async def _attempt(
        self, relayed: RelayedRequest, info: RequestInfo, ticket: Ticket, attempts: FailedAttempts
    ) -> web.StreamResponse:
        """Attempt the request at one endpoint after the other, until one responds."""
        sinks = OutcomeSinks(self.queue, self.quarantine, self.metrics)
        while True:
            self.budget.observe(self.queue.balancer.fleet.num_in_flight, now_s=time.monotonic())
            _log_attempt(relayed.request, ticket, len(attempts.failures) + 1)
            with Attempt(ticket, relayed, info, sinks) as attempt:
                try:
                    response = await attempt.run()
                except AttemptFailed as failure:
                    attempts.failures[ticket.address] = failure
                    following = self._next_ticket(relayed.body, info, attempts)
                    if following is None:
                        return _final_response(attempts)
                    self.metrics.retries.labels(failure.reason.value).inc()
                else:
                    self._charge_difference(info, response)
                    return response
            ticket = following

    def _charge_difference(self, info: RequestInfo, response: web.StreamResponse) -> None:
        """Charge the audio that the pod reports, if it does, instead of the estimate."""
        with contextlib.suppress(KeyError, ValueError):
            audio_s = float(response.headers[AUDIO_HEADER])
            self.quotas.charge_audio(info.tenant, audio_s - info.audio_s)

    def _next_ticket(
        self, body: Body, info: RequestInfo, attempts: FailedAttempts
    ) -> Ticket | None:
        """Return a ticket of another endpoint; None if the request is not to be retried."""
        if not body.is_replayable or attempts.num_lost >= MAX_LOST:
            return None
        if attempts.num_lost and not self._is_within_budget(attempts):
            self.metrics.retries.labels("over_budget").inc()
            return None
        try:
            return self.queue.balancer.reassign(
                info, without=attempts.failures, now_s=time.monotonic()
            )
        except errors.Unavailable:
            return None

    def _is_within_budget(self, attempts: FailedAttempts) -> bool:
        num_pods = len(self.queue.balancer.fleet.addresses)
        attempts.is_budgeted = attempts.is_budgeted or self.budget.try_acquire(num_pods=num_pods)
        return attempts.is_budgeted


def _log_attempt(request: web.Request, ticket: Ticket, number: int) -> None:
    request[http.LOG_FIELDS].update(
        endpoint=ticket.address, cost_s=round(ticket.cost_s, 3), attempts=number
    )


async def _scan_body(body: Body, headers: Mapping[str, str]) -> Scan:
    """Return the scan of the body's first bytes, once it has read enough."""
    scan = audio_length.scan_for(headers.get(hdrs.CONTENT_TYPE, ""), body.total_bytes)
    number = 0
    while not scan.is_done and (chunk := await body.chunk(number)):
        scan.feed(chunk)
        number += 1
    return scan


def _final_response(attempts: FailedAttempts) -> web.Response:
    """Return the error response of the last pod, if it sent one.

    Raises:
        UpstreamLost: a pod received the request and closed the connection before it responded.
        NoEndpointReady: all connections to pods failed.
    """
    *_, last = attempts.failures.values()
    if last.response is not None:
        return last.response
    if attempts.num_lost:
        raise errors.UpstreamLost(
            "the pod closed the connection before it responded; retry",
            retry_after_s=policy.MIN_RETRY_S,
        )
    raise policy.no_endpoint_ready("cannot connect to any pod")
