"""Errors that the client raises itself, in addition to those that the server returns.

They never cross the wire, so the table in `flamingo_common.errors` does not list them. They
share its base class: `except FlamingoError` catches every error of this client.

Pure.
"""

from flamingo_common.errors import FlamingoError


class CannotConnect(FlamingoError):
    """The connection failed, or was closed before a response began."""

    code = "cannot_connect"
    status = 503
    type = "connection_error"
    retryable = True


class TimedOut(FlamingoError):
    """The server sent no data for `timeout_s` seconds."""

    code = "timed_out"
    status = 504
    type = "timeout_error"


class UnexpectedResponse(FlamingoError):
    """The response is not one that a Flamingo server sends."""

    code = "unexpected_response"
    status = 502


def connection_failed(address: str, reason: str) -> CannotConnect:
    """Return the error for a server that cannot be reached."""
    return CannotConnect(
        f"cannot connect to {address} ({reason}); start a fleet with `flamingo up`, "
        "or set its URL (--url, base_url or FLAMINGO_URL)"
    )


def connection_closed(address: str) -> CannotConnect:
    """Return the error for a connection that ended before the first byte of a response."""
    return CannotConnect(f"{address} closed the connection before sending a response")


def read_timed_out(address: str, timeout_s: float) -> TimedOut:
    """Return the error for a server that sends no data."""
    return TimedOut(f"{address} sent no data for {timeout_s:g} s")


def unexpected_response(address: str, reason: str) -> UnexpectedResponse:
    """Return the error for a response that this client cannot parse."""
    return UnexpectedResponse(f"unexpected response from {address}: {reason}")
