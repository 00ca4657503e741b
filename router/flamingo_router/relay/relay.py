"""Relays bytes: the request to a pod while it arrives, the response as it comes.

Bodies are not rewritten. Two things are inspected: whether a pod rejects a request for a
reason that does not concern other pods, and where the lines of a stream of events end, so
that a pod's crash does not leave half an event with the client.
"""

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from flamingo_common import errors
from flamingo_common.service import abort, http
from flamingo_common.wire import DEADLINE_HEADER, PRIORITY_HEADER, sse
from flamingo_common.wire.priority import Priority
from flamingo_common.wire.report import CLIP_HEADER
from flamingo_router.relay import relayed_headers
from flamingo_router.relay.event_lines import EventLines
from flamingo_router.relay.heartbeat import EVENTS, Heartbeat
from flamingo_router.request.body import Body
from flamingo_router.request.hints import OWN_HEADERS

BUFFERED_RESPONSE_BYTES = 64 * 1024
"""Responses up to this size are read before they are sent: in one write, or as a 502 if lost."""
BUFFERED_REQUEST_BYTES = 512 * 1024
"""Requests up to this size that have arrived completely are sent in one write."""
DATA = b"data:"
"""How the line of an event begins; comments have none."""
ERROR = re.compile(rb'^data: (\{"error": .*)$', re.MULTILINE)
"""The event by which a pod ends a stream that has failed."""
RETRY_ELSEWHERE = frozenset({errors.Draining.code, errors.ModelLoading.code})
"""Error codes that concern one pod only, so that another pod is tried."""


class FailureReason(Enum):
    """Why an attempt got no response; the values are labels of metrics."""

    REFUSED = "refused"
    """There was no connection: the pod has received nothing of the request."""
    LOST = "lost"
    """The connection broke before the first byte of a response."""
    BUSY = "busy"
    """The pod is draining, or loading its model."""


class AttemptFailed(Exception):
    """This endpoint returned no response; another one can be tried."""

    def __init__(self, reason: FailureReason, response: web.Response | None = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.response = response
        """The pod's error response, to return if there is no other endpoint."""


def _ignore(*_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class RelayedRequest:
    """The request to relay, and the connections it is relayed through."""

    request: web.Request
    body: Body
    session: aiohttp.ClientSession
    heartbeat: Heartbeat
    clip: str | None = None
    """The clip's name, which the pod needs for its load report."""
    priority: Priority = Priority.NORMAL
    deadline_s: float | None = None
    """When the client no longer needs the response, by the monotonic clock."""
    on_arrived: Callable[[], None] = _ignore
    """Called when more of the request has arrived from the client."""
    on_sent: Callable[[], None] = _ignore
    """Called when the last byte of the request was sent to the pod."""
    on_responding: Callable[[Mapping[str, str]], None] = _ignore
    """Called with the headers of the pod's response when that begins."""
    on_first_event: Callable[[], None] = _ignore
    """Called when the first event of a stream was sent to the client; comments do not count."""


async def relay_request(relayed: RelayedRequest, address: str) -> web.StreamResponse:
    """Return the response of the pod at `address`, sent to its end.

    Raises:
        AttemptFailed: nothing was sent to the client, so another pod can be tried.
        UpstreamLost: the pod closed the connection during the response, and nothing was sent
            to the client.
    """
    async with await _open_response(relayed, address) as upstream:
        relayed.on_responding(upstream.headers)
        if (upstream.content_length or BUFFERED_RESPONSE_BYTES + 1) <= BUFFERED_RESPONSE_BYTES:
            response = await _buffered_response(upstream)
            if relayed.heartbeat.response is None:
                return response
            return await _sent_as_event(relayed, response)
        relayed.body.discard_replay()
        return await _streamed_response(relayed, upstream)


async def _open_response(relayed: RelayedRequest, address: str) -> aiohttp.ClientResponse:
    """Return the pod's response as soon as its headers have arrived."""
    try:
        return await relayed.session.request(
            relayed.request.method,
            URL(address + relayed.request.rel_url.raw_path_qs, encoded=True),
            headers=_request_headers(relayed),
            data=_request_data(relayed),
            skip_auto_headers=relayed_headers.NO_AUTO_HEADERS,
            allow_redirects=False,
        )
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise AttemptFailed(FailureReason.REFUSED) from None
    except (aiohttp.ClientError, OSError) as error:
        if relayed.body.error is not None:
            raise relayed.body.error from None
        raise AttemptFailed(FailureReason.LOST) from error


def _request_data(relayed: RelayedRequest) -> bytes | AsyncIterator[bytes] | None:
    body = relayed.body
    complete = body.complete() if body.num_read <= BUFFERED_REQUEST_BYTES else None
    if complete is None:
        return _stream_until_sent(relayed)
    relayed.on_sent()
    return complete or None


async def _stream_until_sent(relayed: RelayedRequest) -> AsyncIterator[bytes]:
    async for chunk in relayed.body.stream():
        relayed.on_arrived()
        yield chunk
    relayed.on_sent()


async def _buffered_response(upstream: aiohttp.ClientResponse) -> web.Response:
    body = b"".join([chunk async for chunk in _chunks(upstream)])
    response = web.Response(
        status=upstream.status,
        reason=upstream.reason,
        headers=relayed_headers.to_client(upstream.headers),
        body=body,
    )
    unavailable = errors.Unavailable.status
    if upstream.status == unavailable:
        code = errors.from_response(unavailable, body).code
        if code in RETRY_ELSEWHERE:
            raise AttemptFailed(FailureReason.BUSY, response)
    return response


async def _sent_as_event(relayed: RelayedRequest, response: web.Response) -> web.StreamResponse:
    """Send a pod's response as an event of the stream that a heartbeat has started."""
    assert isinstance(response.body, bytes)
    fields = relayed.request[http.LOG_FIELDS]
    fields["status_in_stream"] = response.status
    if response.status >= errors.BadRequest.status:
        fields["error"] = errors.from_response(response.status, response.body).code
    payload = response.body.decode(errors="replace").replace("\n", " ")
    return await relayed.heartbeat.end_with_event(payload)


async def _streamed_response(
    relayed: RelayedRequest, upstream: aiohttp.ClientResponse
) -> web.StreamResponse:
    request = relayed.request
    response = relayed.heartbeat.response or web.StreamResponse(
        status=upstream.status,
        reason=upstream.reason,
        headers=relayed_headers.to_client(upstream.headers),
    )
    if not response.prepared:
        await response.prepare(request)
    is_encoded = hdrs.CONTENT_ENCODING in upstream.headers  # then its lines cannot be found
    lines = EventLines() if upstream.content_type == EVENTS and not is_encoded else None
    try:
        with abort.as_error(request):
            await _relay_chunks(relayed, upstream, response, lines)
    except (errors.UpstreamLost, errors.Draining) as lost:
        if lines is not None and lines.is_done:  # only the end of the body is missing
            await response.write(lines.rest())
            return response
        request[http.LOG_FIELDS]["error"] = lost.code
        await _abort_response(request, response, lines, lost)
    return response


async def _relay_chunks(
    relayed: RelayedRequest,
    upstream: aiohttp.ClientResponse,
    response: web.StreamResponse,
    lines: EventLines | None,
) -> None:
    """Send the body as it arrives; of a stream of events, only whole lines."""
    has_event = False
    async for chunk in _chunks(upstream):
        if ready := lines.feed(chunk) if lines else chunk:
            await response.write(ready)
            failed = ERROR.search(ready) if lines else None
            events = ready[: failed.start()] if failed else ready
            if lines and not has_event and DATA in events:
                has_event = True
                relayed.on_first_event()
            if failed:
                _note_error(relayed.request, failed[1])
    if lines:
        await response.write(lines.rest())


def _note_error(request: web.Request, payload: bytes) -> None:
    """Note the error with which a pod has ended a stream."""
    error = errors.from_response(errors.InternalError.status, payload)
    request[http.LOG_FIELDS].update(error=error.code, status_in_stream=error.status)


async def _chunks(upstream: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the response's body as it arrives.

    Raises:
        UpstreamLost: the pod closed the connection. Any other error is on the client's side.
    """
    while True:
        try:
            chunk = await upstream.content.readany()
        except (aiohttp.ClientError, OSError):
            raise errors.UpstreamLost(
                "the pod closed the connection before the response was complete"
            ) from None
        if not chunk:
            return
        yield chunk


async def _abort_response(
    request: web.Request,
    response: web.StreamResponse,
    lines: EventLines | None,
    lost: errors.FlamingoError,
) -> None:
    """Make sure that the client notices that the response is incomplete."""
    if lines is not None and not lines.is_mid_line:
        # The blank line ends an event whose lines were whole; without one it is ignored.
        await response.write(b"\n" + sse.encode_event(json.dumps(errors.to_body(lost))))
        return
    if request.transport is not None:
        request.transport.abort()


def _request_headers(relayed: RelayedRequest) -> CIMultiDict[str]:
    headers = relayed_headers.to_upstream(relayed.request)
    for name in OWN_HEADERS:
        headers.popall(name, None)
    if relayed.clip is not None:
        headers[CLIP_HEADER] = relayed.clip
    if relayed.priority is not Priority.NORMAL:
        headers[PRIORITY_HEADER] = relayed.priority.value
    if relayed.deadline_s is not None:  # less what the request has waited here
        left_ms = (relayed.deadline_s - time.monotonic()) * 1000
        headers[DEADLINE_HEADER] = str(max(int(left_ms), 1))
    return headers
