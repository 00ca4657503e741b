"""Clients that stall, flood and send nonsense, by raw socket, against what all services share."""

import asyncio
import contextlib
import json
import logging
import re
import time
from dataclasses import replace

import pytest
import structlog
from aiohttp import web
from fakes.patience import PATIENCE_S

from flamingo_common.service import connections, http, logs
from flamingo_common.service.connection_limits import ConnectionLimits

LIMITS = ConnectionLimits(
    header_timeout_s=10.0,
    body_idle_timeout_s=60.0,
    min_body_bytes_per_s=1024.0,
    write_timeout_s=30.0,
    max_connections=10_000,
    max_connections_per_peer=4096,
)
QUICK = replace(
    LIMITS,
    header_timeout_s=1,
    body_idle_timeout_s=1,
    min_body_bytes_per_s=10**9,
    write_timeout_s=1,
)
WHOLE = b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
CHUNKED = b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class App:
    """An application that records what its handlers get."""

    def __init__(self):
        self.ended = asyncio.Queue()
        self.begun = asyncio.Event()

    async def read(self, request):
        self.begun.set()
        try:
            return web.json_response({"bytes": len(await request.read())})
        finally:
            self.ended.put_nowait(time.monotonic())

    async def work(self, request):
        await request.read()
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.put_nowait(time.monotonic())

    async def flood(self, request):
        response = web.StreamResponse()
        await response.prepare(request)
        self.begun.set()
        try:
            while True:
                await response.write(b"x" * 65536)
        finally:
            self.ended.put_nowait(time.monotonic())

    async def fail(self, request):
        raise RuntimeError("the secret of the house")


def scenario(play, limits=QUICK):
    """Run `play(app, connect)` against a server with low limits."""

    async def main():
        app, seen = http.create_app(max_body_bytes=10**6), App()
        app.router.add_post("/read", seen.read)
        app.router.add_post("/work", seen.work)
        app.router.add_get("/flood", seen.flood)
        app.router.add_get("/fail", seen.fail)
        runner = connections.Runner(
            app, limits, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = runner.addresses[0][:2]

        @contextlib.asynccontextmanager
        async def connect(said=b""):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(said)
            try:
                yield reader, writer
            finally:
                writer.transport.abort()

        try:
            async with asyncio.timeout(PATIENCE_S):
                return await play(seen, connect)
        finally:
            await runner.cleanup()

    with structlog.testing.capture_logs() as logged:
        result = asyncio.run(main())
    return result, logged


def errors_of(answer):
    """Return status and error code of each response on a connection."""
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d+)", answer)]
    return list(zip(statuses, re.findall(r'"code": "(\w+)"', answer.decode()), strict=True))


def test_a_header_that_never_ends_gets_408_and_a_slow_response_does_not():
    async def play(seen, connect):
        async with connect(b"POST /work HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"):
            async with connect(b"GET / HTTP/1.1\r\nHost: a\r\nX: ") as (reader, writer):
                answer = asyncio.create_task(reader.read())
                while not answer.done():
                    writer.write(b"x")  # never idle, never complete
                    await asyncio.wait([answer], timeout=0.1)
            return errors_of(await answer), seen.ended.empty()

    assert scenario(play)[0] == ([(408, "request_timeout")], True)


LINES = b"".join(b"X-%d: " % number + b"x" * 5000 + b"\r\n" for number in range(20))
"""100 kB of headers, none of which is too long or one too many."""


@pytest.mark.parametrize("end", [b"", b"\r\n"], ids=["so far", "in one piece"])
def test_a_head_above_the_limit_is_refused(end):
    async def play(seen, connect):
        head = b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
        async with connect(head + LINES + end) as (reader, _):
            return errors_of(await reader.read())

    assert scenario(play, LIMITS)[0] == [(400, "invalid_request")]


def test_a_keep_alive_connection_may_be_idle():
    async def play(_, connect):
        request = b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
        async with connect(request) as (reader, writer):
            await reader.readuntil(b"}")
            with pytest.raises(TimeoutError):  # twice as long as a header may take
                await asyncio.wait_for(reader.read(1), 2 * QUICK.header_timeout_s)
            writer.write(request)
            return json.loads((await reader.readuntil(b"}")).rpartition(b"\r\n")[2])

    assert scenario(play)[0] == {"bytes": 1}


def test_a_stalled_body_gets_408_and_its_handler_ends():
    async def play(seen, connect):
        async with connect(CHUNKED + b"1\r\nx\r\n") as (reader, _):
            answer = errors_of(await reader.read())
            await seen.ended.get()
            return answer

    result, logged = scenario(play, replace(LIMITS, body_idle_timeout_s=1))
    assert result == [(408, "request_timeout")]
    assert [line["event"] for line in logged] == ["request.finished"]


BROKEN = {
    "no size": b"zz\r\nx\r\n",
    "no end": b"1\r\nxyz",
    "a bare line feed": b"1\nx\r\n",
    "a size that overflows": b"fffffffffffffffff\r\n",
    "an extension cut": b"1;\n\r\nx",
}


@pytest.mark.parametrize("start", [b"", b"1\r\nx\r\n"], ids=["first", "later"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_malformed_chunk_ends_its_handler_at_once(name, start):
    async def play(seen, connect):
        async with connect(CHUNKED + start) as (reader, writer):
            await seen.begun.wait()
            writer.write(BROKEN[name])
            return errors_of(await reader.read())

    result, logged = scenario(play, LIMITS)
    assert result == [(400, "invalid_request")]
    assert "exc_info" not in str(logged)


def test_a_client_that_disconnects_ends_its_handler():
    async def play(seen, connect):
        async with connect(b"POST /work HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"):
            await seen.begun.wait()
            assert seen.ended.empty()
        return await seen.ended.get()

    assert scenario(play)[0]


def test_a_client_that_does_not_read_its_response_is_disconnected():
    async def play(seen, connect):
        async with connect(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n") as (reader, _):
            reader._transport.pause_reading()
            await seen.ended.get()
            return seen.begun.is_set()

    assert scenario(play)[0]


def test_a_client_that_reads_slowly_but_steadily_is_not():
    async def play(seen, connect):
        async with connect(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n") as (reader, _):
            until_s = time.monotonic() + 3 * QUICK.write_timeout_s
            while time.monotonic() < until_s:
                await reader.readexactly(2**16)
            return seen.ended.empty()

    assert scenario(play)[0]


def test_connections_over_the_limit_are_refused_with_an_error():
    async def play(_, connect):
        refused = []
        async with connect(WHOLE) as (one, _), connect(WHOLE) as (other, _):
            await one.readuntil(b"}")
            await other.readuntil(b"}")
            for _ in range(50):
                async with connect() as (reader, _):
                    refused += errors_of(await reader.read())
        answer = b"503"
        while b"503" in answer:  # until the server has noticed that the two have disconnected
            async with connect(WHOLE) as (reader, _):
                answer = await reader.readuntil(b"}")
        return refused, answer

    refused, answer = scenario(play, replace(LIMITS, max_connections_per_peer=2))[0]
    assert refused == [(503, "unavailable")] * 50
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_bug_is_reported_without_its_details():
    async def play(_, connect):
        head = b"GET /fail HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
        async with connect(head) as (reader, _):
            return await reader.read()

    answer, logged = scenario(play)
    assert errors_of(answer) == [(500, "internal_error")]
    assert b"secret" not in answer
    assert b"Traceback" not in answer
    assert sum(line["event"] == "request.failed" for line in logged) == 1


NONSENSE = {
    "tls": b"\x16\x03\x01\x02\x00",
    "no path": b"GET\r\n\r\n",
    "a blank in a name": b"GET / HTTP/1.1\r\nA B: c\r\n\r\n",
    "zeros": b"\0" * 99,
    "a giant head": b"GET / HTTP/1.1\r\nA: " + b"x" * 9000,
    "many headers": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000,
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
def test_invalid_http_gets_openais_error_shape(said):
    async def play(_, connect):
        async with connect(said + b"\r\n\r\n") as (reader, _):
            return await reader.read()

    answer, _ = scenario(play)
    assert errors_of(answer) == [(400, "invalid_request")]
    assert b"aiohttp" not in answer


@pytest.fixture
def logged(capfd):
    """Log as a service does during a test; return a function that reads the log."""
    handlers, level = logging.root.handlers[:], logging.root.level
    logs.configure(service="it", level="info")
    yield lambda: capfd.readouterr().err
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_a_flood_of_nonsense_costs_a_few_lines(logged):
    async def play(_, connect):
        for _ in range(500):
            async with connect(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") as (reader, _):
                await reader.read()

    scenario(play)
    said = logged()
    assert len(said) < 10_000
    assert "Traceback" not in said
