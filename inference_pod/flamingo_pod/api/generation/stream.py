"""Respond with a stream of server-sent events; an error during the stream is its last event.

During silence, comments keep clients and proxies from closing the connection.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator

from aiohttp import web

from flamingo_common import errors
from flamingo_common.service import abort, http, logs
from flamingo_common.wire import sse
from flamingo_common.wire.responses import ResponseBody

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would buffer the events
}
HEARTBEAT = sse.encode_comment("still working")


Event = ResponseBody | str
"""An event of a stream; a string is JSON already."""


class Framing:
    """How events, an error and the end of a stream are sent: those of chat."""

    def frame(self, event: Event) -> bytes:
        """Return an event's lines."""
        return sse.encode_event(event if isinstance(event, str) else event.model_dump_json())

    def error(self, error: errors.FlamingoError) -> bytes:
        """Return the lines of the event of an error, which is the last one."""
        return sse.encode_event(json.dumps(errors.to_body(error)))

    def end(self) -> bytes:
        """Return what follows the last event."""
        return sse.DONE


CHAT_FRAMING = Framing()


async def respond(
    request: web.Request,
    events: AsyncGenerator[Event, None],
    *,
    heartbeat_interval_s: float,
    framing: Framing = CHAT_FRAMING,
) -> web.StreamResponse:
    """Send each event as it is produced, then the end, by default `[DONE]`.

    An error before the first event, and within `heartbeat_interval_s`, becomes an ordinary error
    response; later, the status is already sent and the error becomes an event.
    """
    async with contextlib.aclosing(events), _first_event(events) as first:
        await asyncio.wait({first}, timeout=heartbeat_interval_s)
        if first.done():
            first.result()
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        writer = _SseWriter(request, response, framing)
        async with writer.heartbeat(heartbeat_interval_s):
            await _send_events(writer, first, events)
    return response


@contextlib.asynccontextmanager
async def _first_event(
    events: AsyncGenerator[Event, None],
) -> AsyncIterator["asyncio.Task[Event]"]:
    """Yield the task of the first event; cancelled after the block, so that `events` can close."""
    first = asyncio.ensure_future(anext(events))
    try:
        yield first
    finally:
        first.cancel()
        await asyncio.wait({first})
        if not first.cancelled():
            first.exception()  # already reported, or the client has disconnected


class _SseWriter:
    """Writes events and heartbeats to the client."""

    def __init__(
        self, request: web.Request, response: web.StreamResponse, framing: Framing
    ) -> None:
        self.framing = framing
        self._request, self._response = request, response
        self._loop = asyncio.get_running_loop()
        self._last_write_s = float("-inf")

    async def write(self, frame: bytes) -> None:
        self._last_write_s = self._loop.time()
        await self._response.write(frame)

    def aborting_as_error(self) -> contextlib.AbstractContextManager[None]:
        """Raise `Draining` if the pod stops waiting for the request during the block."""
        return abort.as_error(self._request)

    async def fail(self, error: errors.FlamingoError) -> None:
        self._request[http.LOG_FIELDS]["error"] = error.code
        await self.write(self.framing.error(error))

    @contextlib.asynccontextmanager
    async def heartbeat(self, interval_s: float) -> AsyncIterator[None]:
        """Write a comment whenever nothing has been written for `interval_s`, during the block."""
        task = asyncio.create_task(self._write_heartbeats(interval_s), name="heartbeat")
        try:
            yield
        finally:
            task.cancel()

    async def _write_heartbeats(self, interval_s: float) -> None:
        while True:
            silent_s = self._loop.time() - self._last_write_s
            if silent_s >= interval_s:
                # Not into a full buffer: that could not be cancelled, and needs no heartbeat.
                if not self._request.protocol.writing_paused:
                    with contextlib.suppress(ConnectionResetError):  # the handler gets it, too
                        await self.write(HEARTBEAT)
                silent_s = 0.0
            await asyncio.sleep(interval_s - silent_s)


async def _send_events(
    writer: _SseWriter, first: "asyncio.Task[Event]", events: AsyncGenerator[Event, None]
) -> None:
    try:
        with writer.aborting_as_error():
            await writer.write(writer.framing.frame(await first))
            async for event in events:
                await writer.write(writer.framing.frame(event))
    except errors.FlamingoError as error:
        http.log_cause(error)
        await writer.fail(error)
    except ConnectionResetError:
        raise
    except Exception:  # noqa: BLE001 - the status is already sent
        logs.get().exception("request.failed")
        await writer.fail(errors.InternalError("internal error; see the server's log"))
    else:
        await writer.write(writer.framing.end())
