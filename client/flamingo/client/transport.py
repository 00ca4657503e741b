"""Send requests, retry those that can succeed later, and translate failures to `FlamingoError`.

Every error that leaves this module is a `FlamingoError`: the class that the server's error
code names, or one of `flamingo.client.failures`. A request is never resent once its response
has begun.
"""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

import aiohttp
from aiohttp import payload
from pydantic import ValidationError

from flamingo.client import bodies, download, failures, retries
from flamingo.client.fields import RequestFields
from flamingo.client.sources import Clip
from flamingo_common import errors
from flamingo_common.wire import REQUEST_ID_HEADER

CONNECT_TIMEOUT_S = 10.0

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class RetryOptions:
    """When an attempt counts as failed, and how many times to retry it."""

    timeout_s: float
    """Read timeout: seconds without a byte from the server after which a request fails."""
    max_retries: int
    sleep: Sleep


@dataclass(frozen=True)
class ApiRequest:
    """One request: a GET without `fields`, a POST with them."""

    path: str
    fields: RequestFields | None = None
    clip: Clip | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "GET" if self.fields is None else "POST"

    def new_body(self) -> payload.Payload | None:
        """Return a new body; a payload can be sent only once, so each attempt needs its own."""
        if self.fields is None:
            return None
        if self.clip is None:
            return bodies.json_body(self.fields)
        return bodies.multipart_body(self.fields, self.clip)


class Transport:
    """Sends requests to one base URL over a pool of connections."""

    def __init__(self, root: str, headers: dict[str, str], options: RetryOptions) -> None:
        self.root = root
        self._headers = headers
        self._options = options
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, request: ApiRequest, parse: Callable[[bytes], T]) -> T:
        """Return the parsed response to `request`.

        `parse` runs in a thread, because a body can have 200 MB.
        """
        async with self.open_response(request) as response:
            return await asyncio.to_thread(parse, await response.read())

    @contextlib.asynccontextmanager
    async def open_response(self, request: ApiRequest) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the response to `request`, with its body unread.

        Raises:
            FlamingoError: the server rejected the request, could not be reached, or the
                connection was lost, also while the block reads the body.
        """
        response = await self._send_with_retries(request)
        try:
            with self._translate_read_errors(response):
                yield response
        finally:
            response.close()  # does nothing if the response was read to its end

    async def download(self, url: str, file: BinaryIO) -> None:
        """Download `url` into `file`, without the fleet's API key."""
        await download.download_url(self._get_session(), url, file)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _send_with_retries(self, request: ApiRequest) -> aiohttp.ClientResponse:
        num_failures = 0
        while True:
            try:
                return await self._send_once(request)
            except errors.FlamingoError as error:
                num_failures += 1
                max_retries = self._options.max_retries
                if not retries.should_retry(
                    error, num_failures=num_failures, max_retries=max_retries
                ):
                    raise
                fraction = random.random()  # noqa: S311 - not used for secrets
                delay_s = retries.retry_delay_s(
                    error, num_failures=num_failures, random_fraction=fraction
                )
            await self._options.sleep(delay_s)

    async def _send_once(self, request: ApiRequest) -> aiohttp.ClientResponse:
        with self._translate_connect_errors():
            # Following a redirect would turn the POST into a GET; it is reported instead.
            response = await self._get_session().request(
                request.method,
                self.root + request.path,
                data=request.new_body(),
                headers=self._headers,
                allow_redirects=False,
            )
            if response.status < 300:  # noqa: PLR2004 - HTTP's own classes
                return response
            async with response:
                raise await self._parse_error(response)

    async def _parse_error(self, response: aiohttp.ClientResponse) -> errors.FlamingoError:
        location = response.headers.get("Location")
        if response.status < 400 and location:  # noqa: PLR2004 - HTTP's own classes
            return failures.unexpected_response(self.root, f"redirect to {location}")
        error = errors.from_response(response.status, await response.read(), _retry_after(response))
        error.request_id = response.headers.get(REQUEST_ID_HEADER)
        return error

    def _get_session(self) -> aiohttp.ClientSession:
        """Return the session; it belongs to the event loop of the first request."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=self._options.timeout_s
            )
            # No default headers: downloads from other hosts use this session too.
            self._session = aiohttp.ClientSession(timeout=timeout)
        return self._session

    @contextlib.contextmanager
    def _translate_connect_errors(self) -> Iterator[None]:
        """Translate what aiohttp raises before a response has begun."""
        try:
            yield
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise failures.connection_failed(self.root, _connect_reason(error)) from error
        except TimeoutError as error:
            raise failures.read_timed_out(self.root, self._options.timeout_s) from error
        except aiohttp.ClientResponseError as error:  # the response is not valid HTTP
            raise failures.unexpected_response(self.root, error.message) from error
        except aiohttp.ClientError as error:
            if isinstance(error.__cause__, EOFError):
                raise errors.InvalidAudio(str(error.__cause__), param="file") from error
            raise failures.connection_closed(self.root) from error

    @contextlib.contextmanager
    def _translate_read_errors(self, response: aiohttp.ClientResponse) -> Iterator[None]:
        """Translate what is raised while a response is read, and add the request id."""
        try:
            yield
        except (errors.FlamingoError, aiohttp.ClientError, TimeoutError, ValidationError) as error:
            translated = self._read_error(error)
            translated.request_id = response.headers.get(REQUEST_ID_HEADER)
            if translated is error:
                raise
            raise translated from error

    def _read_error(self, error: Exception) -> errors.FlamingoError:
        match error:
            case errors.FlamingoError():
                return error
            case TimeoutError():
                return failures.read_timed_out(self.root, self._options.timeout_s)
            case ValidationError():
                return failures.unexpected_response(self.root, _first_problem(error))
            case _:
                return errors.UpstreamLost(
                    f"the connection to {self.root} was lost before the response was complete"
                )


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"


def _connect_reason(error: aiohttp.ClientError | TimeoutError) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection within {CONNECT_TIMEOUT_S:g} s"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "cannot resolve the host name"
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else str(error)


def _retry_after(response: aiohttp.ClientResponse) -> str | None:
    """Return the server's `Retry-After` in seconds; `retry-after-ms`, which is exact, wins."""
    exact_ms = response.headers.get("retry-after-ms", "")
    if exact_ms.isdecimal():
        return str(int(exact_ms) / 1000)
    return response.headers.get("Retry-After")
