"""The flow of one request: measure its audio, wait for a ticket, attempt, retry.

A request is retried on another endpoint only while nothing of a response has reached the
client and the body can be sent again; never twice on the same process; only once after a
lost connection; and only within the retry budget. While there is no other process, it is held like
one that arrives without a ready pod. A clip that crashes pods must not
be tried on all of them, and an overloaded fleet must not get twice the work.
"""

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import aiohttp
from aiohttp import hdrs, web

from flamingo_common import errors, numerals
from flamingo_common.service import abort, auth, http, traces
from flamingo_common.wire import AUDIO_HEADER
from flamingo_router.balancing import cost, policy, quarantine
from flamingo_router.balancing.ledger import Ticket
from flamingo_router.balancing.open_uploads import OpenUploads
from flamingo_router.balancing.quarantine import Quarantine
from flamingo_router.balancing.quota import Quotas
from flamingo_router.balancing.request_info import RequestInfo
from flamingo_router.balancing.retry_budget import RetryBudget
from flamingo_router.metrics import Metrics
from flamingo_router.relay import held_requests
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
SMALL_BODY_BYTES = 64 * 1024
"""Bodies up to this size are not counted as uploads."""
OVER_BUDGET = "over_budget"
"""The reason of a retry that was not made."""


@dataclass(slots=True)
class FailedAttempts:
    """The failed attempts of one request."""

    failures: dict[str, AttemptFailed] = field(default_factory=dict)
    """The failure of each process, by address and epoch."""
    is_budgeted: bool = False
    """Whether the request has acquired a part of the retry budget."""

    @property
    def last(self) -> AttemptFailed:
        """The last failure."""
        return next(reversed(self.failures.values()))

    @property
    def num_lost(self) -> int:
        """How many of them lost their connection."""
        return sum(each.reason is FailureReason.LOST for each in self.failures.values())


@dataclass(frozen=True, slots=True)
class AudioCharge:
    """The audio that a caller was charged for one request."""

    quotas: Quotas
    info: RequestInfo

    def refund(self) -> None:
        """Refund all of it."""
        self.quotas.charge_audio(self.info.tenant, -self.info.audio_s)

    def settle(self, request: web.Request, response: web.StreamResponse) -> None:
        """Charge what the pod reports instead of the estimate, and nothing for an error."""
        if not _has_succeeded(request, response):
            self.refund()
            return
        audio_s = numerals.number(response.headers.get(AUDIO_HEADER, ""))
        if audio_s is not None:
            self.quotas.charge_audio(self.info.tenant, audio_s - self.info.audio_s)


@dataclass(frozen=True)
class Dispatcher:
    """Handles requests; holds the state that they share."""

    queue: AdmissionQueue
    session: aiohttp.ClientSession
    metrics: Metrics
    limits: BodyLimits
    quotas: Quotas
    uploads: OpenUploads
    urls: UrlProbe | None
    """None: the length of a clip at a URL is assumed."""
    quarantine: Quarantine = field(default_factory=Quarantine)
    budget: RetryBudget = field(default_factory=RetryBudget)

    def __post_init__(self) -> None:
        for reason in (*(each.value for each in FailureReason), OVER_BUDGET):
            self.metrics.retries.labels(reason)  # so that the first retry has a rate

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
            with abort.as_error(request), self._counted_upload(request, body):
                info = await self._with_audio(request, body, info, heartbeat)
                with self._tried(info), self._charged(info) as charge:
                    ticket = await (self._wait if is_work else self._reserve_now)(info, heartbeat)
                    relayed = RelayedRequest(request, body, self.session, heartbeat)
                    response = await self._attempt(relayed, info, ticket, attempts)
                    charge.settle(request, response)
                if is_work and _has_succeeded(request, response):
                    self._observe_duration(request, info)
                return response
        except errors.FlamingoError as error:
            if heartbeat.response is None:
                raise
            return await heartbeat.end_with_error(error)
        finally:
            body.close()
            if attempts.is_budgeted:
                self.budget.release()

    @contextlib.contextmanager
    def _charged(self, info: RequestInfo) -> Iterator["AudioCharge"]:
        """Charge the caller for the audio of a request, unless the request is refused or fails.

        A client that disconnects is charged: a pod may have computed all of it.
        """
        charge = AudioCharge(self.quotas, info)
        self.quotas.charge_audio(info.tenant, info.audio_s)
        try:
            yield charge
        except errors.FlamingoError:
            charge.refund()
            raise

    @contextlib.contextmanager
    def _counted_upload(self, request: web.Request, body: Body) -> Iterator[None]:
        """Count the body of a request as an upload until it has arrived.

        Raises:
            RateLimited: the client has too many slow uploads open.
        """
        if body.unread_bytes is not None and body.unread_bytes <= SMALL_BODY_BYTES:
            yield
            return
        key = auth.caller(request)
        client = request[http.CLIENT] if key is None else f"key {key.name}"
        number = self.uploads.begin(client, now_s=time.monotonic())
        body.on_ended = functools.partial(self.uploads.end, client, number)
        try:
            yield
        finally:
            self.uploads.end(client, number)

    def cover_loss_of(self, address: str) -> None:
        """Allow all requests of an endpoint to be retried, which has become unreachable."""
        now_s = time.monotonic()
        lost = self.queue.balancer.fleet.endpoint_at(address, now_s=now_s).num_in_flight
        self.budget.cover(lost, now_s=now_s)

    def _observe_duration(self, request: web.Request, info: RequestInfo) -> None:
        duration_s = time.monotonic() - request[http.STARTED_S]
        exemplar = traces.current_span().exemplar
        self.metrics.observe_duration(info.audio_s, duration_s, exemplar)

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
            ClipNotHeld: it has no more of a clip than its id, and no pod holds that.
            ClipQuarantined: its clip has crashed pods.
        """
        scan = await _scan_body(body, request.headers, request.path)
        info = dataclasses.replace(info, clip_field=scan.field)
        now_s, balancer = time.monotonic(), self.queue.balancer
        if scan.is_by_id:
            info, audio = held_requests.with_clip(balancer, info, str(scan.clip_id), now_s=now_s)
        else:
            info = held_requests.with_holders(balancer, info, scan.clip_id, now_s=now_s)
            audio = await self._length_at_url(scan) or audio_length.measure(
                scan, unread_bytes=body.unread_bytes
            )
        body_hints = hints.parse_body(scan.head)
        heartbeat.is_streaming = body_hints.is_stream
        whole = info.clip or clip_name.scanned(scan, audio.seconds, tenant=info.tenant)
        audio_s, clip, part = audio.seconds, whole, body_hints.part
        if part is not None:
            audio_s = part.seconds_of(audio_s, is_assumed=audio.source == "assumed")
            clip = None if whole is None else part.name_in(whole)
        self.metrics.audio_seconds.labels(audio.source).inc(audio_s)
        request[http.LOG_FIELDS].update(audio_s=round(audio_s, 2), audio_source=audio.source)
        if clip is not None:
            self._reject_quarantined(clip, scan.field)
        return dataclasses.replace(
            info,
            audio_s=audio_s,
            clip=clip,
            whole_s=audio.seconds,
            whole_clip=whole,
            max_tokens=body_hints.max_tokens,
            num_answers=body_hints.num_answers,
            num_questions=body_hints.num_questions if info.route == cost.DECISIONS else 0,
        )

    async def _length_at_url(self, scan: Scan) -> AudioLength | None:
        if self.urls is None or scan.url is None:
            return None
        clip = await self.urls.probe(scan.url)
        return AudioLength(clip.seconds, clip.source) if clip else None

    def _reject_quarantined(self, clip: str, field: str) -> None:
        blocked_s = self.quarantine.blocked_for_s(clip, now_s=time.monotonic())
        if blocked_s > 0:
            raise errors.ClipQuarantined(
                "two pods failed while they processed this clip, and had no other one in common;"
                f" it is not processed for {blocked_s:.0f} s",
                param=field,
            )

    @contextlib.contextmanager
    def _tried(self, info: RequestInfo) -> Iterator[None]:
        """Let a suspected clip be tried while no other one is.

        Raises:
            Unavailable: another one is being tried.
        """
        if info.clip is None:
            yield
            return
        if not self.quarantine.begin_trial(info.clip, now_s=time.monotonic()):
            retry_s = quarantine.TRIAL_RETRY_S
            raise errors.Unavailable(
                "pods failed while they processed several clips, of which this is one; each is"
                f" tried again by itself; retry in {retry_s:.0f} s",
                retry_after_s=retry_s,
            )
        try:
            yield
        finally:
            self.quarantine.end_trial(info.clip)

    async def _wait(self, info: RequestInfo, heartbeat: Heartbeat) -> Ticket:
        with self.metrics.wait_seconds.labels(info.priority.value).time():
            return await self.queue.acquire(info, send_heartbeat=heartbeat.send)

    async def _reserve_now(self, info: RequestInfo, _: Heartbeat) -> Ticket:
        return self.queue.balancer.reassign(info, without=(), now_s=time.monotonic())

    async def _attempt(
        self, relayed: RelayedRequest, info: RequestInfo, ticket: Ticket, attempts: FailedAttempts
    ) -> web.StreamResponse:
        """Attempt the request at one endpoint after the other, until one responds."""
        sinks = OutcomeSinks(self.queue, self.quarantine, self.metrics)
        fleet = self.queue.balancer.fleet
        while True:
            self.budget.observe(fleet.num_in_flight, now_s=time.monotonic())
            _log_attempt(relayed.request, ticket, len(attempts.failures) + 1)
            process = fleet.process(ticket.address)
            with Attempt(ticket, relayed, info, sinks) as attempt:
                try:
                    return await attempt.run()
                except AttemptFailed as failed:
                    failure = attempts.failures[process] = failed
            following = await self._next_ticket(relayed, info, attempts)
            if following is None:
                return _final_response(attempts)
            self.metrics.retries.labels(failure.reason.value).inc()
            ticket = following

    async def _next_ticket(
        self, relayed: RelayedRequest, info: RequestInfo, attempts: FailedAttempts
    ) -> Ticket | None:
        """Return a ticket of another process; None if the request is not to be retried.

        Raises:
            ClipNotHeld: no other process holds the clip of which the request has the id.
        """
        if not relayed.body.is_replayable or attempts.num_lost >= MAX_LOST:
            return None
        if attempts.num_lost and not self._is_within_budget(attempts):
            self.metrics.retries.labels(OVER_BUDGET).inc()
            return None
        try:
            return self._reassign(info, attempts)
        except errors.NoEndpointReady:
            if info.held is not None:
                raise held_requests.not_held(info) from None
            is_busy = attempts.last.reason is FailureReason.BUSY
            return None if is_busy else await self._hold(relayed, info, attempts)
        except errors.Unavailable:
            return None

    def _reassign(self, info: RequestInfo, attempts: FailedAttempts) -> Ticket:
        fleet = self.queue.balancer.fleet
        failed = [each for each in fleet.addresses if fleet.process(each) in attempts.failures]
        return self.queue.balancer.reassign(info, without=failed, now_s=time.monotonic())

    async def _hold(
        self, relayed: RelayedRequest, info: RequestInfo, attempts: FailedAttempts
    ) -> Ticket | None:
        """Hold a request whose pod has died until another process is ready.

        Returns None when the hold is over, and when a process that has failed turns out to live:
        then only the connection was lost, and the clip may be the reason.
        """
        balancer, lost_s = self.queue.balancer, time.monotonic()
        until_s = min(lost_s + balancer.limits.cold_start_hold_s, info.deadline_s or math.inf)
        while (left_s := until_s - time.monotonic()) > 0:
            if any(
                balancer.fleet.process(each) in attempts.failures
                for each in balancer.fleet.reported_since(lost_s)
            ):
                return None
            with contextlib.suppress(errors.NoEndpointReady):
                return self._reassign(info, attempts)
            await self.queue.wait_for_report(left_s, send_heartbeat=relayed.heartbeat.send)
        return None

    def _is_within_budget(self, attempts: FailedAttempts) -> bool:
        num_pods = len(self.queue.balancer.fleet.addresses)
        if not attempts.is_budgeted:
            now_s = time.monotonic()
            attempts.is_budgeted = self.budget.try_acquire(num_pods=num_pods, now_s=now_s)
        return attempts.is_budgeted


def _has_succeeded(request: web.Request, response: web.StreamResponse) -> bool:
    """Whether the response is that of a request that succeeded; a stream may end with an error."""
    fields = request[http.LOG_FIELDS]
    in_stream = fields.get("status_in_stream")
    status = in_stream if isinstance(in_stream, int) else response.status
    return status < errors.BadRequest.status and "error" not in fields


def _log_attempt(request: web.Request, ticket: Ticket, number: int) -> None:
    request[http.LOG_FIELDS].update(
        endpoint=ticket.address, cost_s=round(ticket.cost_s, 3), attempts=number
    )


async def _scan_body(body: Body, headers: Mapping[str, str], route: str) -> Scan:
    """Return the scan of the body's first bytes, once it has read enough."""
    content_type = headers.get(hdrs.CONTENT_TYPE, "")
    scan = audio_length.scan_for(content_type, body.total_bytes, route=route)
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
    if attempts.last.response is not None:
        return attempts.last.response
    if attempts.num_lost:
        raise errors.UpstreamLost(
            "the pod closed the connection before it responded; retry",
            retry_after_s=policy.MIN_RETRY_S,
        )
    raise policy.no_endpoint_ready("cannot connect to any pod")
