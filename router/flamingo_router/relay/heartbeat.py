"""SSE comments to a streaming client while its request waits in the router.

The first comment commits the response to status 200, so any later error is sent as an
event, as in a stream that is aborted.
"""

import json

from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_common.service import http
from flamingo_common.wire import sse

EVENTS = "text/event-stream"


class Heartbeat:
    """Keeps the connection of one streaming client alive."""

    def __init__(self, request: web.Request) -> None:
        self.is_streaming = False
        """Whether the client is known to have requested a stream."""
        self.response: web.StreamResponse | None = None
        """The response that the first comment has started; None before it."""
        self._request = request

    async def send(self) -> None:
        """Send a comment, if the client has requested a stream."""
        if not self.is_streaming:
            return
        if self.response is None:
            headers = {hdrs.CONTENT_TYPE: EVENTS, hdrs.CACHE_CONTROL: "no-cache"}
            self.response = web.StreamResponse(headers=headers)
            await self.response.prepare(self._request)
        await self.response.write(sse.encode_comment("queued"))

    async def end_with_error(self, error: errors.FlamingoError) -> web.StreamResponse:
        """End the started response with `error` as its last event."""
        self._request[http.LOG_FIELDS]["error"] = error.code
        return await self.end_with_event(json.dumps(errors.to_body(error)))

    async def end_with_event(self, payload: str) -> web.StreamResponse:
        """End the started response with one event, and no `[DONE]`."""
        assert self.response is not None
        await self.response.write(sse.encode_event(payload))
        return self.response
