"""A fleet that answers each request with its body, over real sockets on a thread of its own."""

import asyncio
import contextlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web

from flamingo_common import errors
from flamingo_common.service import http
from flamingo_common.wire import REQUEST_ID_HEADER

USAGE = {
    "prompt_tokens": 3,
    "completion_tokens": 2,
    "prompt_tokens_details": {"cached_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


@dataclass
class EchoFleet:
    """What it does with requests, and what arrived; used by the test's thread."""

    answer_s: float = 0.01
    failures: dict[str, list[errors.FlamingoError | None]] = field(default_factory=dict)
    """What the first requests with some text in their body fail with; None: no response."""
    blocked_text: str = ""
    """Requests with this in their body are not answered until `unblock`."""
    arrived: Counter[str] = field(default_factory=Counter)
    """The number of requests by their id."""
    bodies: list[dict] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    address: str = ""
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, num_lines):
        """Return when so many different requests have arrived."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.arrived) >= num_lines, timeout=30)

    def unblock(self):
        self.blocked_text = ""

    def reset(self):
        """Forget what arrived."""
        self.answer_s, self.failures, self.blocked_text = 0.01, {}, ""
        self.arrived.clear()
        self.bodies.clear()
        self.headers.clear()

    async def answer(self, request):
        body = await request.read()
        with self._changed:
            self.arrived[request.headers[REQUEST_ID_HEADER]] += 1
            self.bodies.append(json.loads(body))
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            self._changed.notify_all()
        await asyncio.sleep(self.answer_s)
        for text, failures in self.failures.items():
            if text.encode() in body and failures:
                if (failure := failures.pop(0)) is not None:
                    raise failure
                request.transport.abort()
        while self.blocked_text and self.blocked_text.encode() in body:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the test's thread unblocks
        return web.json_response(
            {"echo": json.loads(body), "usage": USAGE},
            headers={REQUEST_ID_HEADER: request.headers[REQUEST_ID_HEADER]},
        )

    @contextlib.contextmanager
    def serving(self):
        loop, started = asyncio.new_event_loop(), threading.Event()
        stop = asyncio.Event()

        async def serve():
            app = http.create_app(max_body_bytes=2**30)
            app.router.add_post("/v1/{rest:.*}", self.answer)
            runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.address = "http://{}:{}".format(*runner.addresses[0][:2])
            started.set()
            await stop.wait()
            await runner.cleanup()

        thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()
