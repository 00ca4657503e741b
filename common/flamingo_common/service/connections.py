"""Connections that are bounded: a client that stalls, floods or babbles costs little.

aiohttp waits for ever for a request's head, for its body, and for a client that does
not read its answer; a body that breaks off in a malformed chunk leaves its handler
waiting; and each malformed request costs a traceback in the log. Here is what ends
that. It leans on names that aiohttp calls its own: tests/fleet/test_connections.py
fails should they change.
"""

import asyncio
import json
import resource
from typing import Any

from aiohttp import hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from flamingo_common import errors
from flamingo_common.service import http, logs
from flamingo_common.service.connection_limits import (
    BodyRateMonitor,
    ConnectionCounter,
    ConnectionLimits,
    TokenBucket,
    WriteMonitor,
    peer_of,
)

SWEEP_S = 0.5
SPARE_FILES = 256
"""Descriptors that are left for what is no connection."""
FULL = errors.Unavailable("too many connections", retry_after_s=1.0)
LATE = errors.BodyTimeout("the head of the request did not come in time")
MALFORMED = errors.BadRequest("this is no valid HTTP request, or its head is too large")


class Connection(web.RequestHandler):
    """One client's connection."""

    __slots__ = (
        "_body",
        "_body_rate",
        "_head_s",
        "_is_counted",
        "_num_bytes",
        "_num_written",
        "_wire",
        "_write_monitor",
    )

    def __init__(self, server: "Server", **options: Any) -> None:
        super().__init__(server, **options)
        self._wire: asyncio.Transport | None = None
        """The transport, also while it closes."""
        self._is_counted = False
        self._body: StreamReader | None = None
        """Of the last request whose head has come."""
        self._head_s: float | None = None
        """When the head began that has not come whole yet."""
        self._num_bytes = 0
        self._num_written = 0
        self._body_rate = BodyRateMonitor()
        self._write_monitor = WriteMonitor()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve a client, unless there are too many."""
        assert isinstance(transport, asyncio.Transport)
        self._wire = transport
        self._is_counted = self._server.counter.enter(self._peer)
        if self._is_counted:
            super().connection_made(transport)
        else:
            transport.write(_raw(FULL))
            transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the client."""
        if self._is_counted:
            self._server.counter.leave(self._peer)
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes: of a head, or of a body."""
        body, count = self._body, self._request_count
        is_in_body = body is not None and not body.is_eof()
        super().data_received(data)
        self._num_bytes += len(data)
        if self._request_count == count:
            if data and not is_in_body and self._head_s is None:
                self._head_s = self._loop.time()
            return
        self._head_s = None
        message, self._body = self._messages[-1]
        self._body_rate, self._num_bytes = BodyRateMonitor(), 0
        if body is not None and is_in_body and not isinstance(message, RawRequestMessage):
            # What follows the body is no request: the body itself is malformed.
            self._messages.pop()
            self._end(body, web.RequestPayloadError("malformed chunk"))

    def resume_writing(self) -> None:
        """Go on writing: the client has read."""
        super().resume_writing()
        self._write_monitor.drain()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; read no more of a body that is broken."""
        if request.content.exception() is not None and not request.content.is_eof():
            request.content.feed_eof()
            self.close()
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's words quote the request
    ) -> web.StreamResponse:
        """Return the answer to a request that no handler sees, or whose handler had a bug."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client left, which is no news
        if status >= errors.InternalError.status:
            logs.get().error("request.failed", exc_info=exc)
            error: errors.FlamingoError = errors.InternalError("the server failed")
        else:
            self._server.log_malformed(request.remote)
            error = MALFORMED
        if request.writer.output_size > 0:
            raise ConnectionResetError("an answer is on its way already")
        response = http.error_response(error)
        response.headers[hdrs.SERVER] = http.SERVER
        response.force_close()
        return response

    def sweep(self, passed_s: float) -> None:
        """End what has taken too long."""
        assert self._wire is not None
        if self._current_request is not None:
            self._num_written = self._current_request.writer.output_size
        num_left = self._wire.get_write_buffer_size()
        self._write_monitor.tick(passed_s, self._num_written, num_left, is_full=self.writing_paused)
        if self._write_monitor.is_stalled(self._server.limits):
            self._wire.abort()
        elif self._current_request is not None:
            self._sweep_body(self._current_request.content, passed_s)
        elif self._is_head_late:
            self._wire.write(_raw(LATE))
            self.force_close()

    @property
    def is_open(self) -> bool:
        """Whether the connection is not lost yet."""
        return self._manager is not None

    @property
    def _is_head_late(self) -> bool:
        patience_s = self._server.limits.header_timeout_s
        return self._head_s is not None and self._loop.time() - self._head_s > patience_s

    @property
    def _server(self) -> "Server":
        # aiohttp forgets it when the connection is lost, and no sooner.
        assert isinstance(self._manager, Server)
        return self._manager

    @property
    def _peer(self) -> str:
        assert self._wire is not None
        return peer_of(self._wire.get_extra_info("peername"))

    def _sweep_body(self, body: StreamReader, passed_s: float) -> None:
        if body is not self._body or body.is_eof():
            return
        is_awaited = body._waiter is not None  # noqa: SLF001 - whether a handler waits for it
        self._body_rate.tick(passed_s, self._num_bytes, is_awaited=is_awaited)
        if (fault := self._body_rate.fault(self._server.limits)) is not None:
            self._end(body, errors.BodyTimeout(fault))

    def _end(self, body: StreamReader, why: Exception) -> None:
        """Let whoever reads the body get `why`, and hear nothing more from this client."""
        body.set_exception(why)
        body.feed_eof()
        self.close()


class Server(web.Server):
    """All connections of a service."""

    def __init__(self, plain: web.Server, limits: ConnectionLimits) -> None:
        """Serve what `plain` would serve, with limits."""
        super().__init__(
            plain.request_handler,
            request_factory=plain.request_factory,
            handler_cancellation=plain.handler_cancellation,
            loop=plain._loop,  # noqa: SLF001 - we are a server ourselves
            **plain._kwargs,  # noqa: SLF001
        )
        self.limits = limits
        self.counter = ConnectionCounter(limits)
        self._told = TokenBucket(per_s=2, burst=10)

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def log_malformed(self, remote: str | None) -> None:
        """Log a malformed request in a line, now and then."""
        if self._told.take(self._loop.time()):
            unsaid = self._told.refused()
            logs.get().warning("request.malformed", remote=remote, unsaid=unsaid)

    async def sweep(self) -> None:
        """Look after the connections, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for connection in self.connections:
                # A process that was stopped, or a loop that was busy, is no client's fault:
                # however long it took, half a second has passed.
                if isinstance(connection, Connection) and connection.is_open:
                    connection.sweep(SWEEP_S)


class Runner(web.AppRunner):
    """Runs an application on connections that are bounded."""

    def __init__(self, app: web.Application, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(app, **options)
        self._limits = limits
        self._sweeping: asyncio.Task[None] | None = None

    async def _make_server(self) -> web.Server:
        server = Server(await super()._make_server(), self._limits)
        self._sweeping = asyncio.create_task(server.sweep(), name="sweep")
        return server

    async def _cleanup_server(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        await super()._cleanup_server()


def raise_file_limit() -> int:
    """Let this process open all the files it may; return how many connections that allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(hard - SPARE_FILES, 1)


def _raw(error: errors.FlamingoError) -> bytes:
    """Return a whole answer, for where there is no request to answer."""
    body = json.dumps(errors.to_body(error))
    fields = {
        "Content-Type": "application/json",
        "Content-Length": len(body),
        "Connection": "close",
        **errors.response_headers(error),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {error.status} \r\n{head}\r\n{body}".encode()
