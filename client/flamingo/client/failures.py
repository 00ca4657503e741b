"""Errors that the client raises itself, in addition to those that the server returns.

They never cross the wire, so the table in `flamingo_common.errors` does not list them. They
share its base class: `except FlamingoError` catches every error of this client.

Pure.
"""

import http

from flamingo.client.proxies import Proxy, Route
from flamingo_common.errors import FlamingoError, InvalidAudio

URL_SETTINGS = "--url, base_url or FLAMINGO_URL"
"""What names the fleet: in the command line, in a program, and for both."""
CHECK_URL = f"check its URL ({URL_SETTINGS}) and its TLS settings"


class CannotConnect(FlamingoError):
    """The connection failed, or was closed before a response began."""

    code = "cannot_connect"
    status = 503
    type = "connection_error"
    retryable = True


class ConnectionClosed(CannotConnect):
    """The server closed the connection before a response began, perhaps because of the request."""


class ProxyError(CannotConnect):
    """The proxy between this client and the server refused to pass the request on."""

    code = "proxy_error"
    status = 502
    retryable = False


class TlsFailed(CannotConnect):
    """The server's certificate is not valid for this client, or the server has none."""

    code = "tls_failed"
    retryable = False


class TimedOut(FlamingoError):
    """The server sent no data for `timeout_s` seconds."""

    code = "timed_out"
    status = 504
    type = "timeout_error"


class UnexpectedResponse(FlamingoError):
    """The response is not one that a Flamingo server sends."""

    code = "unexpected_response"
    status = 502


class UnreadableFile(InvalidAudio):
    """A file could not be read now, which a later attempt may: a network disk, or it changed."""


def connection_failed(route: Route, reason: str) -> CannotConnect:
    """Return the error for a server that cannot be reached."""
    return CannotConnect(
        f"cannot connect to {route} ({reason}); start a fleet with `flamingo up`, "
        f"or set its URL ({URL_SETTINGS})"
    )


def tls_failed(route: Route, reason: str, advice: str | None) -> TlsFailed:
    """Return the error for a server with which no TLS connection is possible."""
    return TlsFailed(f"cannot connect to {route} ({reason}); {advice or CHECK_URL}")


def proxy_unreachable(proxy: Proxy, reason: str) -> CannotConnect:
    """Return the error for a proxy that cannot be reached."""
    return CannotConnect(
        f"cannot connect to the proxy {proxy.display_url} ({reason}), which {proxy.variable} names;"
        " for a direct connection, add the server to NO_PROXY"
    )


def proxy_refused(route: Route, status: int, phrase: str) -> CannotConnect:
    """Return the error for a proxy that answers itself, instead of passing the request on."""
    assert route.proxy is not None
    start = f"the proxy {route.proxy.display_url}, which {route.proxy.variable} names,"
    if status == http.HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ProxyError(
            f"{start} requires authentication (HTTP 407): set {route.proxy.variable} to"
            " http://USER:PASSWORD@HOST:PORT"
        )
    message = f"{start} did not connect to {route.root}: HTTP {status} {phrase}".rstrip()
    is_temporary = status >= http.HTTPStatus.INTERNAL_SERVER_ERROR
    return (CannotConnect if is_temporary else ProxyError)(message)


def connection_closed(route: Route) -> ConnectionClosed:
    """Return the error for a connection that ended before the first byte of a response."""
    return ConnectionClosed(f"{route} closed the connection before sending a response")


def read_timed_out(route: Route, timeout_s: float) -> TimedOut:
    """Return the error for a server that sends no data."""
    return TimedOut(f"{route} sent no data for {timeout_s:g} s")


def unexpected_response(route: Route, reason: str) -> UnexpectedResponse:
    """Return the error for a response that this client cannot parse."""
    return UnexpectedResponse(f"unexpected response from {route}: {reason}")
