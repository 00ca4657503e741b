"""HTTP connections with limits: timeouts, minimum rates and maximum numbers.

aiohttp waits without limit for a request's head, for its body, and for a client that does
not read its response; a malformed chunk leaves the handler waiting for the rest of the
body; and each malformed request costs a traceback in the log. The classes here end such
connections. They depend on private names of aiohttp: tests/fleet/test_connections.py
fails if those change.
"""

import asyncio
import json
import resource
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from flamingo_common import errors
from flamingo_common.service import abort, http, logs
from flamingo_common.service.connection_limits import (
    BodyRateMonitor,
    ConnectionCounter,
    ConnectionLimits,
    TokenBucket,
    WriteMonitor,
    peer_of,
    shown_address,
)

SWEEP_INTERVAL_S = 0.5
SPARE_FILES = 256
"""File descriptors that are reserved for purposes other than connections."""
TOO_MANY = errors.Unavailable("too many open connections; retry later", retry_after_s=1.0)
MAX_HEAD_BYTES = 64 * 1024
"""Of the request line and all headers; aiohttp limits only each field and their number, to 1 MB."""
LARGE_HEAD = errors.BadRequest(
    f"the request line and headers exceed the limit of {MAX_HEAD_BYTES} bytes"
)
LATE_HEAD = errors.BodyTimeout("the request line and headers did not arrive in time")
MALFORMED = errors.BadRequest("malformed HTTP request, or its headers are too large")


class Connection(web.RequestHandler):
    """The connection of one client."""

    __slots__ = (
        "_body",
        "_body_rate",
        "_head_started_s",
        "_is_counted",
        "_num_bytes",
        "_num_head_bytes",
        "_num_written",
        "_socket_transport",
        "_write_monitor",
    )

    def __init__(self, server: "Server", **options: Any) -> None:
        super().__init__(server, **options)
        self._socket_transport: asyncio.Transport | None = None
        """The transport; unlike `transport`, aiohttp does not reset it while it closes."""
        self._is_counted = False
        self._body: StreamReader | None = None
        """Body of the last request whose head is complete."""
        self._head_started_s: float | None = None
        """When the current, incomplete head began."""
        self._num_head_bytes = 0
        self._num_bytes = 0
        self._num_written = 0
        self._body_rate = BodyRateMonitor()
        self._write_monitor = WriteMonitor()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve a client, or reject it if there are too many connections."""
        assert isinstance(transport, asyncio.Transport)
        self._socket_transport = transport
        self._is_counted = self._server.counter.add(self._peer)
        if self._is_counted:
            super().connection_made(transport)
        else:
            transport.write(_raw_response(TOO_MANY))
            transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop counting the connection."""
        if self._is_counted:
            self._server.counter.remove(self._peer)
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data, which belongs to a head or to a body."""
        body, count = self._body, self._request_count
        is_in_body = body is not None and not body.is_eof()
        super().data_received(data)
        self._num_bytes += len(data)
        if self._request_count == count:
            if data and not is_in_body:
                self._take_head(len(data))
            return
        self._head_started_s, self._num_head_bytes = None, 0
        message, self._body = self._messages[-1]
        self._body_rate, self._num_bytes = BodyRateMonitor(), 0
        if body is not None and is_in_body and not isinstance(message, RawRequestMessage):
            # Not the next request: the body itself is malformed.
            self._messages.pop()
            self._end(body, web.RequestPayloadError("malformed chunk"))
            return
        for at in range(max(count - self._request_count, -len(self._messages)), 0):
            self._refuse_head(at)

    def resume_writing(self) -> None:
        """Continue writing: the client has read."""
        super().resume_writing()
        self._write_monitor.drain()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; stop reading a body that failed."""
        if request.content.exception() is not None and not request.content.is_eof():
            request.content.feed_eof()
            self.close()
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's message quotes the request
    ) -> web.StreamResponse:
        """Return the response to a malformed request, or to one whose handler failed."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client disconnected
        if status >= errors.InternalError.status:
            logs.get().error("request.failed", exc_info=exc)
            error: errors.FlamingoError = errors.InternalError("internal server error")
        else:
            self._server.log_malformed(shown_address(request.remote))
            error = exc if isinstance(exc, errors.FlamingoError) else MALFORMED
        if request.writer.output_size > 0:
            raise ConnectionResetError("the response has already started")
        response = http.error_response(error)
        response.headers[hdrs.SERVER] = http.SERVER
        response.force_close()
        return response

    def abort_request(self) -> None:
        """Cancel the handler of the current request, and accept no further one."""
        if self._current_request is not None and self._task_handler is not None:
            self.close()
            self._task_handler.cancel()

    def sweep(self, elapsed_s: float) -> None:
        """End the connection or its request if it has exceeded a limit."""
        assert self._socket_transport is not None
        if self._current_request is not None:
            self._num_written = self._current_request.writer.output_size
        num_left = self._socket_transport.get_write_buffer_size()
        self._write_monitor.observe(
            elapsed_s, self._num_written, num_left, is_full=self.writing_paused
        )
        if self._write_monitor.is_stalled(self._server.limits):
            self._socket_transport.abort()
        elif self._current_request is not None:
            self._sweep_body(self._current_request.content, elapsed_s)
        elif self._is_head_late:
            self._socket_transport.write(_raw_response(LATE_HEAD))
            self.force_close()

    @property
    def handling(self) -> "asyncio.Task[None] | None":
        """The task that handles the connection's requests."""
        return self._task_handler

    @property
    def is_open(self) -> bool:
        """Return whether the connection is still open."""
        return self._manager is not None

    @property
    def _is_head_late(self) -> bool:
        timeout_s = self._server.limits.header_timeout_s
        return (
            self._head_started_s is not None
            and self._loop.time() - self._head_started_s > timeout_s
        )

    @property
    def _server(self) -> "Server":
        # aiohttp resets it only when the connection is lost.
        assert isinstance(self._manager, Server)
        return self._manager

    @property
    def _peer(self) -> str:
        assert self._socket_transport is not None
        return peer_of(self._socket_transport.get_extra_info("peername"))

    def _take_head(self, num_bytes: int) -> None:
        """Count bytes of an incomplete head, and end the connection when there are too many."""
        if self._head_started_s is None:
            self._head_started_s = self._loop.time()
        self._num_head_bytes += num_bytes
        if self._num_head_bytes <= MAX_HEAD_BYTES or self._socket_transport is None:
            return
        if self._current_request is None:
            self._socket_transport.write(_raw_response(LARGE_HEAD))
        self.force_close()

    def _refuse_head(self, at: int) -> None:
        """Replace a request that aiohttp has accepted, and we refuse, by an error."""
        message, _ = self._messages[at]
        if isinstance(message, RawRequestMessage) and (error := _fault_of(message)) is not None:
            self._messages[at] = (_ErrInfo(error.status, error, error.message), EMPTY_PAYLOAD)

    def _sweep_body(self, body: StreamReader, elapsed_s: float) -> None:
        if body is not self._body or body.is_eof():
            return
        is_awaited = body._waiter is not None  # noqa: SLF001 - set while a handler waits
        self._body_rate.observe(elapsed_s, self._num_bytes, is_awaited=is_awaited)
        if (violation := self._body_rate.violation(self._server.limits)) is not None:
            self._end(body, errors.BodyTimeout(violation))

    def _end(self, body: StreamReader, error: Exception) -> None:
        """Raise `error` in the handler that reads the body, and close the connection."""
        body.set_exception(error)
        body.feed_eof()
        self.close()


class Server(web.Server):
    """All connections of a service, with limits."""

    def __init__(self, base: web.Server, limits: ConnectionLimits) -> None:
        """Copy the configuration of `base`, and enforce `limits`."""
        super().__init__(
            base.request_handler,
            request_factory=base.request_factory,
            handler_cancellation=base.handler_cancellation,
            loop=base._loop,  # noqa: SLF001 - a base class of ours
            **base._kwargs,  # noqa: SLF001
        )
        self.limits = limits
        self.counter = ConnectionCounter(limits)
        self._log_budget = TokenBucket(per_s=2, burst=10)

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def log_malformed(self, remote: str | None) -> None:
        """Log a malformed request, at a limited rate."""
        if self._log_budget.take(self._loop.time()):
            suppressed = self._log_budget.pop_num_suppressed()
            logs.get().warning("request.malformed", remote=remote, suppressed=suppressed)

    async def sweep(self) -> None:
        """Enforce the limits periodically, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            for connection in self.connections:
                # A suspended process or a busy event loop must not count against clients:
                # however long it was, each pass counts as half a second.
                if isinstance(connection, Connection) and connection.is_open:
                    connection.sweep(SWEEP_INTERVAL_S)


class Runner(web.AppRunner):
    """Runs an application with limits on its connections."""

    def __init__(self, app: web.Application, limits: ConnectionLimits, **options: Any) -> None:
        # See content_coding.py: a body is never unpacked.
        super().__init__(app, auto_decompress=False, **options)
        self._limits = limits
        self._sweeping: asyncio.Task[None] | None = None

    async def abort_requests(self) -> None:
        """End the requests in flight with an error, and wait a moment until they have ended."""
        self.app[abort.ABORTED].set()
        server = self.server
        assert server is not None
        busy = [each for each in server.connections if isinstance(each, Connection)]
        for connection in busy:
            connection.abort_request()
        tasks = [each.handling for each in busy if each.handling is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=abort.TIMEOUT_S)

    async def _make_server(self) -> web.Server:
        server = Server(await super()._make_server(), self._limits)
        self._sweeping = asyncio.create_task(server.sweep(), name="sweep")
        return server

    async def _cleanup_server(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        await super()._cleanup_server()


def _fault_of(message: RawRequestMessage) -> errors.FlamingoError | None:
    """Return why the head of a request is refused; None if it is not."""
    fields = sum(len(name) + len(value) + 4 for name, value in message.raw_headers)
    return LARGE_HEAD if len(message.path) + fields > MAX_HEAD_BYTES else None


def raise_file_limit() -> int:
    """Raise the limit of open files to its hard limit; return how many connections it allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(hard - SPARE_FILES, 1)


def _raw_response(error: errors.FlamingoError) -> bytes:
    """Return a complete response, for a connection without a parsed request."""
    body = json.dumps(errors.to_body(error))
    fields = {
        "Content-Type": "application/json",
        "Content-Length": len(body),
        "Connection": "close",
        **errors.response_headers(error),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {error.status} \r\n{head}\r\n{body}".encode()
