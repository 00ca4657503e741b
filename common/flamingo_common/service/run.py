"""Lifecycle of a service: listen, serve until a stop is requested, drain, exit.

A stop is requested by SIGTERM, SIGINT, or (with `stop_with_parent`) the end of standard
input.
"""

import asyncio
import contextlib
import errno
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from flamingo_common.service import connections, logs, service_links
from flamingo_common.service.connection_limits import ConnectionLimits
from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.service.settings import ServiceSettings

KEEPALIVE_S = 75.0
"""nginx's default; aiohttp's own is 3,630 s."""
LINGERING_S = 2.0
"""Seconds for which a rejected upload is still read, so that the client gets the response."""
BACKLOG = 1024
ANY_IPV6, ANY_IPV4 = "::", "0.0.0.0"  # noqa: S104 - what the user asked for
NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""What binding to `::` fails with where IPv6 is not compiled in, or is disabled."""

NO_AUTHENTICATION = "no authentication: any client can use this server; set --key-file"

Drain = Callable[[], Awaitable[None]]


class PortInUse(Exception):
    """The address is in use or not available."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on `host`:`port`; `::` is all interfaces, IPv6 and IPv4.

    Where the kernel has no IPv6, `::` is all interfaces with IPv4.

    Raises:
        PortInUse: the address is in use or not available; the message has the reason.
    """
    try:
        return _bind(host, port)
    except OSError as error:
        if host == ANY_IPV6 and error.errno in NO_IPV6:
            return listen(ANY_IPV4, port)
        is_taken = error.errno == errno.EADDRINUSE
        reason = "in use by another process" if is_taken else error.strerror
        shown = f"[{host}]" if ":" in host else host
        raise PortInUse(
            f"cannot listen on {shown}:{port}: {reason}; choose another port with --port"
        ) from None


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == ANY_IPV6:  # the default is the node's, net.ipv6.bindv6only
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def run(app: web.Application, settings: ServiceSettings, *, drain: Drain) -> int:
    """Serve `app` until a stop is requested; return the process's exit status.

    `drain` is awaited, for at most `grace_period_s`, between the stop request and the
    closing of the listener: it takes the service out of rotation and returns when the
    last request in flight is answered. At the end of the grace period, or at a second
    signal, it is cancelled and the remaining requests are aborted.
    """
    try:
        listener = _open_listener(settings)
    except PortInUse as error:
        print(error, file=sys.stderr)  # noqa: T201 - for the user, before there is a log
        return ExitStatus.PORT_IN_USE
    return asyncio.run(_serve(app, listener, settings, drain))


def _open_listener(settings: ServiceSettings) -> socket.socket:
    if settings.fd is not None:
        return socket.socket(fileno=settings.fd)
    return listen(settings.host, settings.port)


async def _serve(
    app: web.Application, listener: socket.socket, settings: ServiceSettings, drain: Drain
) -> ExitStatus:
    # Cancel the handler when the client disconnects, so that its work stops.
    runner = connections.Runner(
        app,
        _connection_limits(settings),
        handler_cancellation=True,
        keepalive_timeout=KEEPALIVE_S,
        access_log=None,
        shutdown_timeout=1.0,
        lingering_time=LINGERING_S,
    )
    stop, force_stop = _stop_events()
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        host, port = listener.getsockname()[:2]
        logs.get().info("service.listening", host=host, port=port)
        _log_service_links(settings)
        if settings.key_file is None and not _is_loopback(host):
            logs.get().warning("service.unauthenticated", host=host, message=NO_AUTHENTICATION)
        async with _watch_parent(stop, is_enabled=settings.stop_with_parent):
            await stop.wait()
        logs.get().info("service.draining", grace_period_s=settings.grace_period_s)
        is_complete = await _drain(drain, force_stop, settings.grace_period_s)
        if not is_complete:
            await runner.abort_requests()
    finally:
        await runner.cleanup()
    logs.get().info("service.stopped")
    return ExitStatus.OK if is_complete else ExitStatus.INCOMPLETE_SHUTDOWN


def _connection_limits(settings: ServiceSettings) -> ConnectionLimits:
    return ConnectionLimits(
        header_timeout_s=settings.header_timeout_s,
        body_idle_timeout_s=settings.body_idle_timeout_s,
        min_body_bytes_per_s=settings.min_body_bytes_per_s,
        write_timeout_s=settings.write_timeout_s,
        max_connections=min(settings.max_connections, connections.raise_file_limit()),
        max_connections_per_peer=settings.max_connections_per_peer,
    )


def _log_service_links(settings: ServiceSettings) -> None:
    prefix = str(settings.model_config["env_prefix"])
    kept = service_links.without_links(os.environ, prefix=prefix)
    if ignored := sorted(set(os.environ) - set(kept)):
        logs.get().warning(
            "settings.service_links_ignored", variables=ignored, message=service_links.ADVICE
        )


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


async def _drain(drain: Drain, force_stop: asyncio.Event, grace_period_s: float) -> bool:
    """Return whether `drain` ended within the grace period and before a second signal."""
    draining = asyncio.ensure_future(drain())
    forced = asyncio.ensure_future(force_stop.wait())
    await asyncio.wait(
        {draining, forced}, timeout=grace_period_s, return_when=asyncio.FIRST_COMPLETED
    )
    forced.cancel()
    if draining.done():
        draining.result()
        return True
    reason = "second signal" if force_stop.is_set() else "grace period expired"
    logs.get().warning("service.shutdown_incomplete", reason=reason)
    draining.cancel()
    await asyncio.gather(draining, return_exceptions=True)
    return False


def _stop_events() -> tuple[asyncio.Event, asyncio.Event]:
    """Return the events that the first and the second signal set."""
    stop, force_stop = asyncio.Event(), asyncio.Event()
    received: list[int] = []

    def handle(number: int) -> None:
        (force_stop if received else stop).set()
        received.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, handle, number)
    return stop, force_stop


@contextlib.asynccontextmanager
async def _watch_parent(stop: asyncio.Event, *, is_enabled: bool) -> AsyncIterator[None]:
    """Set `stop` when standard input ends, if `is_enabled`."""
    if not is_enabled:
        yield
        return
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    watch = asyncio.create_task(_stop_at_eof(reader, stop))
    try:
        yield
    finally:
        watch.cancel()
        transport.close()


async def _stop_at_eof(reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
    await reader.read()
    stop.set()
