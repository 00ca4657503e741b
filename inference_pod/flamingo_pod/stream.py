"""Server-sent events out, the last one an error if it comes to that."""

import contextlib
import json
from collections.abc import AsyncGenerator

from aiohttp import web

from flamingo import errors
from flamingo.service import http, logs
from flamingo.wire import sse
from flamingo.wire.responses import Answer

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would collect the events
}


Event = Answer | str
"""One of the stream; a string is JSON already."""


async def respond(request: web.Request, events: AsyncGenerator[Event, None]) -> web.StreamResponse:
    """Send each event as it comes, then `[DONE]`.

    What is raised before the first event still becomes an ordinary error
    response; later, the status is out and the error becomes an event.
    """
    async with contextlib.aclosing(events):
        first = await anext(events)
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        await response.write(_frame(first))
        try:
            async for event in events:
                await response.write(_frame(event))
        except errors.FlamingoError as error:
            await _write_error(request, response, error)
        except ConnectionResetError:
            raise
        except Exception:  # noqa: BLE001 - the status is out: told in the log and in the stream
            logs.get().exception("request.failed")
            await _write_error(request, response, errors.InternalError("the server failed"))
        else:
            await response.write(sse.DONE)
    return response


def _frame(event: Event) -> bytes:
    return sse.encode_event(event if isinstance(event, str) else event.model_dump_json())


async def _write_error(
    request: web.Request, response: web.StreamResponse, error: errors.FlamingoError
) -> None:
    request[http.FACTS]["error"] = error.code
    await response.write(sse.encode_event(json.dumps(errors.encode(error))))
