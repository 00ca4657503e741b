"""What can go wrong between this client and a fleet, beside what the fleet itself tells.

These never cross the wire, so they have no row in the table of `flamingo_common.errors`;
they share its base, so that `except FlamingoError` catches all there is to catch.

Pure.
"""

from flamingo_common.errors import FlamingoError


class CannotConnect(FlamingoError):
    """No answer at all: nobody listens there, or the connection ended before one came."""

    code = "cannot_connect"
    status = 503
    kind = "connection_error"
    retryable = True


class TimedOut(FlamingoError):
    """The server said nothing for `timeout_s`."""

    code = "timed_out"
    status = 504
    kind = "timeout_error"


class UnexpectedAnswer(FlamingoError):
    """Something answered, but not as a Flamingo server does."""

    code = "unexpected_answer"
    status = 502


def unreachable(address: str, why: str) -> CannotConnect:
    """Return the error for an `address` where nobody listens."""
    return CannotConnect(
        f"no fleet answers at {address} ({why}); start one with `flamingo up`, "
        "or give its address (--url, base_url or FLAMINGO_URL)"
    )


def hung_up(address: str) -> CannotConnect:
    """Return the error for a connection that ended before the first byte of an answer."""
    return CannotConnect(f"{address} closed the connection before it answered")


def silent(address: str, timeout_s: float) -> TimedOut:
    """Return the error for a server that says nothing."""
    return TimedOut(f"{address} sent nothing for {timeout_s:g} s")


def foreign(address: str, why: str) -> UnexpectedAnswer:
    """Return the error for an answer this client cannot read."""
    return UnexpectedAnswer(f"{address} does not answer as a Flamingo server does: {why}")
