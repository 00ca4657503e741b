"""Explains why a file could not be fetched from a URL, in plain words that name the host."""

import errno
import socket
import ssl

import aiohttp

from flamingo_common.service.public_http import CONNECT_TIMEOUT_S, AddressDenied

_CERTIFICATE_PROBLEMS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed",
    19: "is signed by an authority that is not trusted",
    20: "is signed by an authority that is not trusted",
    21: "is signed by an authority that is not trusted",
    23: "was revoked",
    62: "is for another host name",
    64: "is for another address",
}
"""By OpenSSL's X509_V_ERR_… number."""
_REASONS = (
    (
        aiohttp.ConnectionTimeoutError,
        f"its host did not accept a connection within {CONNECT_TIMEOUT_S} s",
    ),
    (aiohttp.ServerDisconnectedError, "the server closed the connection without a response"),
    (aiohttp.ClientPayloadError, "the connection ended before the whole file had arrived"),
    (aiohttp.InvalidURL, "it is not a valid URL"),
    (TimeoutError, "the server sent nothing for too long"),
    (UnicodeError, "its host is not a valid name"),  # of the IDNA codec
    (OSError, "the connection to the server broke"),
)
_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL})


def explain(error: Exception) -> str:
    """Return the reason as the rest of a sentence, in lower case and without a period."""
    match error:
        # Its base classes include ValueError.
        case aiohttp.ClientConnectorCertificateError():
            return f"the TLS certificate of {error.host} {_certificate_problem(error)}"
        case aiohttp.ClientConnectorSSLError():
            return _explain_tls(error)
        case aiohttp.ClientConnectorDNSError():
            return _explain_name(error)
        case aiohttp.ClientConnectorError():
            return _explain_connect(error)
        case _:
            known = (reason for kind, reason in _REASONS if isinstance(error, kind))
            return next(known, "the server's response is not valid HTTP")


def _certificate_problem(error: aiohttp.ClientConnectorCertificateError) -> str:
    cause = error.certificate_error
    if not isinstance(cause, ssl.SSLCertVerificationError):
        return "is not valid"
    return _CERTIFICATE_PROBLEMS.get(
        cause.verify_code, f"is not valid: {cause.verify_message}".removesuffix(": ")
    )


def _explain_tls(error: aiohttp.ClientConnectorSSLError) -> str:
    cause = error.os_error
    reason = (getattr(cause, "reason", None) or "").replace("_", " ").lower()
    if reason in {"wrong version number", "http request", "record layer failure"}:
        return f"{error.host} does not use TLS on port {error.port}; is it an http: URL?"
    return f"the TLS handshake with {error.host} failed{f' ({reason})' if reason else ''}"


def _explain_name(error: aiohttp.ClientConnectorDNSError) -> str:
    is_temporary = error.os_error.errno == socket.EAI_AGAIN
    advice = "the name service did not respond" if is_temporary else "check its name"
    return f"the host {error.host} could not be resolved; {advice}"


def _explain_connect(error: aiohttp.ClientConnectorError) -> str:
    cause, number = error.os_error, error.os_error.errno
    if isinstance(cause, AddressDenied):
        return str(cause)
    if number == errno.ECONNREFUSED:
        return f"{error.host} refused the connection to port {error.port}"
    if number in _UNREACHABLE:
        return f"there is no network route to {error.host}"
    if number == errno.ETIMEDOUT:
        return f"{error.host} did not accept a connection"
    if number in {errno.ECONNRESET, errno.EPIPE}:
        return f"{error.host} closed the connection at once"
    return f"a connection to {error.host} on port {error.port} was not possible"
