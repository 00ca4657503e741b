"""Translate what aiohttp raises, and what servers answer, to `FlamingoError`."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
from pydantic import ValidationError

from flamingo.client import certificates, failures
from flamingo.client.proxies import Route
from flamingo.client.sessions import CONNECT_TIMEOUT_S
from flamingo_common import errors, numerals
from flamingo_common.service import fetch_errors
from flamingo_common.wire import REQUEST_ID_HEADER

NOT_FOUND_KINDS = (errors.NotFound, errors.MethodNotAllowed)
TLS_ERRORS = (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)
MAX_SHOWN_CHARACTERS = 200
_TAG = re.compile("<[^>]*>")


@dataclass(frozen=True)
class Translator:
    """Translates errors of requests on one route."""

    route: Route
    timeout_s: float
    """The read timeout."""

    @contextlib.contextmanager
    def connect_errors(self) -> Iterator[None]:
        """Translate what aiohttp raises before a response has begun."""
        try:
            yield
        except aiohttp.ClientHttpProxyError as error:  # the response to CONNECT
            raise failures.proxy_refused(self.route, error.status, error.message) from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise self._not_connected(error) from error
        except TimeoutError as error:
            raise failures.read_timed_out(self.route, self.timeout_s) from error
        except aiohttp.ClientResponseError as error:  # the response is not valid HTTP
            raise failures.unexpected_response(self.route, error.message) from error
        except (aiohttp.InvalidURL, UnicodeError) as error:  # the latter of the IDNA codec
            message = f"{self.route.root!r} is not a valid base URL: its host is not valid"
            raise errors.BadRequest(message, param="base_url") from error
        except aiohttp.ClientError as error:
            if isinstance(error.__cause__, EOFError):
                raise failures.UnreadableFile(str(error.__cause__), param="file") from error
            raise failures.connection_closed(self.route) from error

    @contextlib.contextmanager
    def read_errors(self, response: aiohttp.ClientResponse) -> Iterator[None]:
        """Translate what is raised while a response is read, and add the request id."""
        try:
            yield
        except (errors.FlamingoError, aiohttp.ClientError, TimeoutError, ValidationError) as error:
            translated = self._read_error(error, response)
            translated.request_id = response.headers.get(REQUEST_ID_HEADER)
            if translated is error:
                raise
            raise translated from error

    def error_response(self, response: aiohttp.ClientResponse, body: bytes) -> errors.FlamingoError:
        """Return the error that a response with a status of 300 or more carries."""
        error = self._parse(response, body)
        error.request_id = response.headers.get(REQUEST_ID_HEADER)
        return error

    def _parse(self, response: aiohttp.ClientResponse, body: bytes) -> errors.FlamingoError:
        location = response.headers.get("Location")
        if response.status < 400 and location:  # noqa: PLR2004 - HTTP's own classes
            reason = f"redirect to {location}; if that is the fleet, use its URL"
            return failures.unexpected_response(self.route, reason)
        error = errors.from_response(response.status, body, _retry_after(response))
        if _is_error_object(body):
            return error
        if self.route.proxy is not None and response.status == 407:  # noqa: PLR2004
            return failures.proxy_refused(self.route, response.status, response.reason or "")
        return self._foreign(error, response, body)

    def _foreign(
        self, error: errors.FlamingoError, response: aiohttp.ClientResponse, body: bytes
    ) -> errors.FlamingoError:
        """Return the error for a response that no server of a fleet sends."""
        text = " ".join(_TAG.sub(" ", body.decode("utf-8", "replace")).split())
        reason = f"HTTP {response.status}: {text[:MAX_SHOWN_CHARACTERS] or 'empty body'}"
        message = f"{reason} ({not_ours(response)}, from {self.route})"
        if isinstance(error, NOT_FOUND_KINDS):
            return failures.unexpected_response(self.route, f"{reason} ({not_ours(response)})")
        return type(error)(message, retry_after_s=error.retry_after_s)

    def _not_connected(self, error: aiohttp.ClientError | TimeoutError) -> errors.FlamingoError:
        if isinstance(error, TLS_ERRORS):  # of the server: a proxy has no TLS of its own
            advice = certificates.HOW_TO_TRUST if certificates.is_untrusted(error) else None
            return failures.tls_failed(self.route, fetch_errors.explain(error), advice)
        reason = connect_reason(error)
        if (proxy := self.route.proxy) is not None:
            return failures.proxy_unreachable(proxy, reason)
        return failures.connection_failed(self.route, reason)

    def _read_error(
        self, error: Exception, response: aiohttp.ClientResponse
    ) -> errors.FlamingoError:
        match error:
            case errors.FlamingoError():
                return error
            case TimeoutError():
                return failures.read_timed_out(self.route, self.timeout_s)
            case ValidationError():
                reason = f"{_first_problem(error)} ({not_ours(response)})"
                return failures.unexpected_response(self.route, reason)
            case _:
                return errors.UpstreamLost(
                    f"the connection to {self.route} was lost before the response was complete"
                )


def not_ours(response: aiohttp.ClientResponse) -> str:
    """Return what to check if a response is not one that a Flamingo server sends."""
    if response.content_type != "application/json":
        return f"{response.content_type} is not what a Flamingo server sends; check the URL"
    return "is this a Flamingo server, of the version of this client?"


def _is_error_object(body: bytes) -> bool:
    try:
        return "message" in json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return False


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"


def connect_reason(error: aiohttp.ClientError | TimeoutError) -> str:
    """Return why there is no connection."""
    if isinstance(error, TimeoutError):
        return f"no connection within {CONNECT_TIMEOUT_S:g} s"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "cannot resolve the host name"
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else str(error)


def _retry_after(response: aiohttp.ClientResponse) -> str | None:
    """Return the server's `Retry-After` in seconds; `retry-after-ms`, which is exact, wins."""
    exact_ms = numerals.whole(response.headers.get("retry-after-ms", ""))
    if exact_ms is not None:
        return str(exact_ms / 1000)
    return response.headers.get("Retry-After")
