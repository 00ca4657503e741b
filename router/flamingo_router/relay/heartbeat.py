"""Comments to a client that asked for events, while its request waits in the router.

Once the first is out so is the status, 200: what goes wrong after it is told as an
event, as in a stream that breaks off.
"""

import json

from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_common.service import http
from flamingo_common.wire import sse

EVENTS = "text/event-stream"


class Heartbeat:
    """See the module."""

    def __init__(self, request: web.Request) -> None:
        self.is_wanted = False
        """Whether the client is known to have asked for events."""
        self.response: web.StreamResponse | None = None
        """What has been begun; None: nothing has reached the client."""
        self._request = request

    async def beat(self) -> None:
        """Tell the client that its request waits, if it can take that."""
        if not self.is_wanted:
            return
        if self.response is None:
            headers = {hdrs.CONTENT_TYPE: EVENTS, hdrs.CACHE_CONTROL: "no-cache"}
            self.response = web.StreamResponse(headers=headers)
            await self.response.prepare(self._request)
        await self.response.write(sse.encode_comment("queued"))

    async def end(self, error: errors.FlamingoError) -> web.StreamResponse:
        """Tell `error` as the last event of what has been begun."""
        assert self.response is not None
        self._request[http.LOG_FIELDS]["error"] = error.code
        return await self.end_with(json.dumps(errors.to_body(error)))

    async def end_with(self, payload: str) -> web.StreamResponse:
        """End with one event, which is no `[DONE]`."""
        assert self.response is not None
        await self.response.write(sse.encode_event(payload))
        return self.response
