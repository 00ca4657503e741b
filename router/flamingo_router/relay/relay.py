"""Bytes through, untouched: the request to a pod while it arrives, the answer as it comes.

Nothing is parsed or written anew. Two things are looked at: whether a pod refuses
for a reason that another pod need not have, and, in a stream of events, where a line
ends, so that a pod's death does not leave half an event with the client.
"""

import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict, MultiMapping
from yarl import URL

from flamingo_common import errors
from flamingo_common.service import http, traces
from flamingo_common.wire import DEADLINE_HEADER, REQUEST_ID_HEADER, sse
from flamingo_common.wire.report import CLIP_HEADER
from flamingo_router.relay.event_lines import Lines
from flamingo_router.relay.heartbeat import EVENTS, Heartbeat
from flamingo_router.request.body import Body
from flamingo_router.request.hints import OWN_HEADERS

HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""What belongs to one connection (RFC 9110 §7.6.1)."""
NO_AUTO_HEADERS = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT)
SHORT_BYTES = 64 * 1024
"""An answer this short is read before it is sent: one write, and a broken one can be told."""
AT_ONCE_BYTES = 512 * 1024
"""A request this short that has arrived is sent in one write."""
ELSEWHERE = frozenset({errors.Draining.code, errors.ModelLoading.code})
"""Refusals that say: another pod."""


class Why(Enum):
    """Why a try came to no answer."""

    REFUSED = "refused"
    """No connection: the pod has seen nothing of the request."""
    LOST = "lost"
    """The connection broke before the first byte of an answer."""
    BUSY = "busy"
    """The pod drains, or loads its model."""


class Unanswered(Exception):
    """This endpoint gave no answer; another one may."""

    def __init__(self, why: Why, answer: web.Response | None = None) -> None:
        super().__init__(why.value)
        self.why = why
        self.answer = answer
        """What the pod said, for when there is no other."""


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is relayed, and through what."""

    request: web.Request
    body: Body
    session: aiohttp.ClientSession
    heartbeat: Heartbeat
    clip: str | None = None
    """What the pod is told that its clip is called."""
    deadline_s: float | None = None
    """When the answer is of no use any more, by the monotonic clock."""
    on_sent: Callable[[], None] = _nothing
    """Called when the last byte of the request has left for the pod."""
    on_answered: Callable[[], None] = _nothing
    """Called when the pod begins to answer."""


async def relay(call: Call, address: str) -> web.StreamResponse:
    """Return the answer of the pod at `address`, sent to its end.

    Raises:
        Unanswered: nothing has been sent to the client, and another pod may answer.
        UpstreamLost: the pod broke off, and nothing has been sent to the client.
    """
    async with await _answer(call, address) as upstream:
        call.on_answered()
        if (upstream.content_length or SHORT_BYTES + 1) <= SHORT_BYTES:
            answer = await _short(upstream)
            return answer if call.heartbeat.response is None else await _as_event(call, answer)
        call.body.forget()
        return await _long(call, upstream)


async def _answer(call: Call, address: str) -> aiohttp.ClientResponse:
    """Return the pod's answer as soon as its header is there."""
    try:
        return await call.session.request(
            call.request.method,
            URL(address + call.request.rel_url.raw_path_qs, encoded=True),
            headers=_request_headers(call),
            data=_data(call),
            skip_auto_headers=NO_AUTO_HEADERS,
            allow_redirects=False,
        )
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise Unanswered(Why.REFUSED) from None
    except (aiohttp.ClientError, OSError) as error:
        if call.body.fault is not None:
            raise call.body.fault from None
        raise Unanswered(Why.LOST) from error


def _data(call: Call) -> bytes | AsyncIterator[bytes] | None:
    whole = call.body.whole() if call.body.num_read <= AT_ONCE_BYTES else None
    if whole is None:
        return _until_sent(call)
    call.on_sent()
    return whole or None


async def _until_sent(call: Call) -> AsyncIterator[bytes]:
    async for chunk in call.body.stream():
        yield chunk
    call.on_sent()


async def _short(upstream: aiohttp.ClientResponse) -> web.Response:
    body = b"".join([chunk async for chunk in _chunks(upstream)])
    answer = web.Response(
        status=upstream.status,
        reason=upstream.reason,
        headers=_answer_headers(upstream.headers),
        body=body,
    )
    refusal = errors.Unavailable.status
    if upstream.status == refusal and errors.from_response(refusal, body).code in ELSEWHERE:
        raise Unanswered(Why.BUSY, answer)
    return answer


async def _as_event(call: Call, answer: web.Response) -> web.StreamResponse:
    """Tell what a pod refused in a stream that heartbeats have begun."""
    assert isinstance(answer.body, bytes)
    call.request[http.LOG_FIELDS]["status_in_stream"] = answer.status
    return await call.heartbeat.end_with(answer.body.decode(errors="replace").replace("\n", " "))


async def _long(call: Call, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    request = call.request
    response = call.heartbeat.response or web.StreamResponse(
        status=upstream.status,
        reason=upstream.reason,
        headers=_answer_headers(upstream.headers),
    )
    if not response.prepared:
        await response.prepare(request)
    is_packed = hdrs.CONTENT_ENCODING in upstream.headers  # then its lines cannot be seen
    lines = Lines() if upstream.content_type == EVENTS and not is_packed else None
    try:
        async for chunk in _chunks(upstream):
            if ready := lines.feed(chunk) if lines else chunk:
                await response.write(ready)
        if lines:
            await response.write(lines.rest())
    except errors.UpstreamLost as lost:
        request[http.LOG_FIELDS]["error"] = lost.code
        await _break_off(request, response, lines, lost)
    return response


async def _chunks(upstream: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the answer's body as it comes.

    Raises:
        UpstreamLost: it broke off. Other errors are the client's half of the relay.
    """
    while True:
        try:
            chunk = await upstream.content.readany()
        except (aiohttp.ClientError, OSError):
            raise errors.UpstreamLost("the pod broke off in the middle of its answer") from None
        if not chunk:
            return
        yield chunk


async def _break_off(
    request: web.Request,
    response: web.StreamResponse,
    lines: Lines | None,
    lost: errors.UpstreamLost,
) -> None:
    """Let the client see that the answer is not whole."""
    if lines is not None and not lines.is_cut:
        # The blank line ends an event whose lines were whole; where there is none it is nothing.
        await response.write(b"\n" + sse.encode_event(json.dumps(errors.to_body(lost))))
        return
    if request.transport is not None:
        request.transport.abort()


def _request_headers(call: Call) -> CIMultiDict[str]:
    headers = _end_to_end(call.request.headers)
    for name in OWN_HEADERS:
        headers.popall(name, None)
    headers[REQUEST_ID_HEADER] = call.request[http.REQUEST_ID]
    if call.clip is not None:
        headers[CLIP_HEADER] = call.clip
    if call.deadline_s is not None:  # less what the request has waited here
        left_ms = (call.deadline_s - time.monotonic()) * 1000
        headers[DEADLINE_HEADER] = str(max(int(left_ms), 1))
    traces.current_span().inject(headers)
    if hdrs.CONTENT_ENCODING in headers:  # the body has been unpacked on its way in
        del headers[hdrs.CONTENT_ENCODING]
        headers.popall(hdrs.CONTENT_LENGTH, None)
    return headers


def _answer_headers(told: MultiMapping[str]) -> CIMultiDict[str]:
    headers = _end_to_end(told)
    headers.popall(REQUEST_ID_HEADER, None)  # ours is the same, or the one to quote
    return headers


def _end_to_end(headers: MultiMapping[str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get(hdrs.CONNECTION, "").split(",")}
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if (lower := name.lower()) not in HOP_BY_HOP and lower not in named
    )
