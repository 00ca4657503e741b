"""A service's life: listen, serve until told to stop, drain, leave.

Told to stop means SIGTERM, SIGINT, or (with `stop_with_parent`) the end of
standard input.
"""

import asyncio
import contextlib
import errno
import ipaddress
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from flamingo_common.service import connections, logs
from flamingo_common.service.connection_limits import ConnectionLimits
from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.service.settings import ServiceSettings

KEEPALIVE_S = 75.0
"""nginx's default; aiohttp's own is 3,630 s."""
LINGERING_S = 2.0
"""How long a refused upload is still read, so that its client sees the refusal."""
BACKLOG = 1024

OPEN = "everybody who can reach this address may use it; --key-file asks for API keys"

Drain = Callable[[], Awaitable[None]]


class PortInUse(Exception):
    """Somebody else listens there."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on `host`:`port`.

    Raises:
        PortInUse: the address is taken, not ours, or does not exist; says which.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        why = "is in use by another program" if error.errno == errno.EADDRINUSE else error.strerror
        raise PortInUse(f"{host}:{port} {why}; choose another with --port") from None
    return listener


def run(app: web.Application, settings: ServiceSettings, *, drain: Drain) -> int:
    """Serve `app` until told to stop; return the process's exit status.

    `drain` is awaited, at most `grace_period_s`, between the order to stop and the
    closing of the listener: it takes the service out of rotation and returns
    when the last held request is answered. A second signal ends it at once. Where
    it is ended, it is cancelled: what it held then is cut.
    """
    try:
        listener = _listener(settings)
    except PortInUse as busy:
        print(busy, file=sys.stderr)  # noqa: T201 - said to a person, and clearly
        return ExitStatus.PORT_IN_USE
    return asyncio.run(_serve(app, listener, settings, drain))


def _listener(settings: ServiceSettings) -> socket.socket:
    if settings.fd is not None:
        return socket.socket(fileno=settings.fd)
    return listen(settings.host, settings.port)


async def _serve(
    app: web.Application, listener: socket.socket, settings: ServiceSettings, drain: Drain
) -> ExitStatus:
    # On a disconnect the handler is cancelled, so that the work behind it stops.
    runner = connections.Runner(
        app,
        _limits(settings),
        handler_cancellation=True,
        keepalive_timeout=KEEPALIVE_S,
        access_log=None,
        shutdown_timeout=1.0,
        lingering_time=LINGERING_S,
    )
    stop, hurry = _stop_events()
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        host, port = listener.getsockname()[:2]
        logs.get().info("service.listening", host=host, port=port)
        if settings.key_file is None and not _is_loopback(host):
            logs.get().warning("service.open", host=host, told=OPEN)
        async with _parent_watch(stop, watched=settings.stop_with_parent):
            await stop.wait()
        logs.get().info("service.draining", grace_period_s=settings.grace_period_s)
        is_done = await _drained(drain, hurry, settings.grace_period_s)
    finally:
        await runner.cleanup()
    logs.get().info("service.stopped")
    return ExitStatus.OK if is_done else ExitStatus.INCOMPLETE_SHUTDOWN


def _limits(settings: ServiceSettings) -> ConnectionLimits:
    return ConnectionLimits(
        header_timeout_s=settings.header_timeout_s,
        body_idle_timeout_s=settings.body_idle_timeout_s,
        min_body_bytes_per_s=settings.min_body_bytes_per_s,
        write_timeout_s=settings.write_timeout_s,
        max_connections=min(settings.max_connections, connections.raise_file_limit()),
        max_connections_per_peer=settings.max_connections_per_peer,
    )


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


async def _drained(drain: Drain, hurry: asyncio.Event, grace_period_s: float) -> bool:
    """Return whether `drain` came to its end within grace, and before a second signal."""
    draining = asyncio.ensure_future(drain())
    hurried = asyncio.ensure_future(hurry.wait())
    await asyncio.wait(
        {draining, hurried}, timeout=grace_period_s, return_when=asyncio.FIRST_COMPLETED
    )
    hurried.cancel()
    if draining.done():
        draining.result()
        return True
    logs.get().warning(
        "service.cut", reason="a second signal" if hurry.is_set() else "grace is over"
    )
    draining.cancel()
    await asyncio.gather(draining, return_exceptions=True)
    return False


def _stop_events() -> tuple[asyncio.Event, asyncio.Event]:
    """Return what the first signal sets, and what the second."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    told: list[int] = []

    def obey(number: int) -> None:
        (hurry if told else stop).set()
        told.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, obey, number)
    return stop, hurry


@contextlib.asynccontextmanager
async def _parent_watch(stop: asyncio.Event, *, watched: bool) -> AsyncIterator[None]:
    """Set `stop` when standard input ends."""
    if not watched:
        yield
        return
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    watch = asyncio.create_task(_until_eof(reader, stop))
    try:
        yield
    finally:
        watch.cancel()
        transport.close()


async def _until_eof(reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
    await reader.read()
    stop.set()
