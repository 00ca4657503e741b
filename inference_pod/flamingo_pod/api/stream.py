"""Server-sent events out, the last one an error if it comes to that.

While there is nothing to say, comments keep clients and proxies from giving up.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator

from aiohttp import web

from flamingo_common import errors
from flamingo_common.service import http, logs
from flamingo_common.wire import sse
from flamingo_common.wire.responses import ResponseBody

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would collect the events
}
HEARTBEAT = sse.encode_comment("still working")


Event = ResponseBody | str
"""One of the stream; a string is JSON already."""


async def respond(
    request: web.Request, events: AsyncGenerator[Event, None], *, heartbeat_interval_s: float
) -> web.StreamResponse:
    """Send each event as it comes, then `[DONE]`.

    What is raised before the first event, and within `heartbeat_interval_s`, still becomes an
    ordinary error response; later, the status is out and the error becomes an event.
    """
    async with contextlib.aclosing(events), _begun(events) as first:
        await asyncio.wait({first}, timeout=heartbeat_interval_s)
        if first.done():
            first.result()
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        voice = _Voice(request, response)
        async with voice.beating(heartbeat_interval_s):
            await _tell(voice, first, events)
    return response


@contextlib.asynccontextmanager
async def _begun(
    events: AsyncGenerator[Event, None],
) -> AsyncIterator["asyncio.Task[Event]"]:
    """Yield the first event to be; it is over when the block is, so that `events` can close."""
    first = asyncio.ensure_future(anext(events))
    try:
        yield first
    finally:
        first.cancel()
        await asyncio.wait({first})
        if not first.cancelled():
            first.exception()  # told already, or nobody is left to be told


class _Voice:
    """What the client hears."""

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self._request, self._response = request, response
        self._loop = asyncio.get_running_loop()
        self._spoke_s = float("-inf")

    async def say(self, frame: bytes) -> None:
        self._spoke_s = self._loop.time()
        await self._response.write(frame)

    async def fail(self, error: errors.FlamingoError) -> None:
        self._request[http.LOG_FIELDS]["error"] = error.code
        await self.say(sse.encode_event(json.dumps(errors.to_body(error))))

    @contextlib.asynccontextmanager
    async def beating(self, every_s: float) -> AsyncIterator[None]:
        """Say that we are still there, whenever nothing else has been said for `every_s`."""
        beats = asyncio.create_task(self._beat(every_s), name="heartbeat")
        try:
            yield
        finally:
            beats.cancel()

    async def _beat(self, every_s: float) -> None:
        while True:
            silent_s = self._loop.time() - self._spoke_s
            if silent_s >= every_s:
                # Not into a full buffer: it could not be cancelled there, and has no need.
                if not self._request.protocol.writing_paused:
                    with contextlib.suppress(ConnectionResetError):  # the handler is told too
                        await self.say(HEARTBEAT)
                silent_s = 0.0
            await asyncio.sleep(every_s - silent_s)


async def _tell(
    voice: _Voice, first: "asyncio.Task[Event]", events: AsyncGenerator[Event, None]
) -> None:
    try:
        await voice.say(_frame(await first))
        async for event in events:
            await voice.say(_frame(event))
    except errors.FlamingoError as error:
        await voice.fail(error)
    except ConnectionResetError:
        raise
    except Exception:  # noqa: BLE001 - the status is out: told in the log and in the stream
        logs.get().exception("request.failed")
        await voice.fail(errors.InternalError("the server failed"))
    else:
        await voice.say(sse.DONE)


def _frame(event: Event) -> bytes:
    return sse.encode_event(event if isinstance(event, str) else event.model_dump_json())
