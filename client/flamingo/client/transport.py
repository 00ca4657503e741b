"""Send requests, retry those that can succeed later, and translate failures to `FlamingoError`.

Every error that leaves this module is a `FlamingoError`: the class that the server's error
code names, or one of `flamingo.client.failures`. A request is never resent once its response
has begun.
"""

import contextlib
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

import aiohttp
from aiohttp import payload

from flamingo.client import blocking, bodies, download, failures, proxies, retries
from flamingo.client.fields import RequestFields
from flamingo.client.proxies import Route
from flamingo.client.sessions import Sessions
from flamingo.client.sources import Clip, ClipId
from flamingo.client.translation import Translator
from flamingo_common import errors

MAX_RESPONSE_BYTES = 2**30
"""The embedding of the longest clip has about 200 MB."""
MAX_ERROR_BYTES = 2**20

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]
OnResponse = Callable[[aiohttp.ClientResponse], None]


def _ignore(_: aiohttp.ClientResponse) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class RetryOptions:
    """When an attempt counts as failed, and how many times to retry it."""

    timeout_s: float
    """Read timeout: seconds without a byte from the server after which a request fails."""
    max_retries: int
    sleep: Sleep


@dataclass(frozen=True)
class ApiRequest:
    """One request: a GET without `fields` or a `form`, otherwise a POST."""

    path: str
    fields: RequestFields | None = None
    clip: Clip | ClipId | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """In addition to those of all requests."""
    max_retries: int | None = None
    """Of this request, instead of the client's."""
    form: Mapping[str, str] | None = None
    """Text fields that are sent before the clip, instead of one with `fields` as JSON."""

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "GET" if self.fields is None and self.form is None else "POST"

    def new_body(self) -> payload.Payload | None:
        """Return a new body; a payload can be sent only once, so each attempt needs its own."""
        if self.form is not None and isinstance(self.clip, Clip):
            return bodies.form_body(self.form, self.clip)
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
        settings = proxies.read_settings(os.environ)
        route = Route(root, settings.proxy_for(root))
        self._translator = Translator(route, options.timeout_s)
        self._sessions = Sessions(read_timeout_s=options.timeout_s, proxies=settings)
        self._is_closed = False

    async def fetch(
        self, request: ApiRequest, parse: Callable[[bytes], T], on_response: OnResponse = _ignore
    ) -> T:
        """Return the parsed response to `request`.

        `on_response` is called with the response before it is read. `parse` runs in a thread,
        because a body can have 200 MB.
        """
        async with self.open_response(request) as response:
            on_response(response)
            return await blocking.run(parse, await read_limited(response, MAX_RESPONSE_BYTES))

    @contextlib.asynccontextmanager
    async def open_response(self, request: ApiRequest) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the response to `request`, with its body unread.

        Raises:
            FlamingoError: the server rejected the request, could not be reached, or the
                connection was lost, also while the block reads the body.
        """
        response = await self._send_with_retries(request)
        try:
            with self._translator.read_errors(response):
                yield response
        finally:
            response.close()  # does nothing if the response was read to its end

    async def download(self, url: str, file: BinaryIO) -> None:
        """Download `url` into `file`, without the fleet's API key."""
        await download.download_url(self._open_sessions(), url, file)

    async def close(self) -> None:
        """Close all connections, for good."""
        self._is_closed = True
        await self._sessions.close()

    async def _send_with_retries(self, request: ApiRequest) -> aiohttp.ClientResponse:
        num_failures = 0
        while True:
            try:
                return await self._send_once(request)
            except errors.FlamingoError as error:
                num_failures += 1
                max_retries = self._options.max_retries
                if request.max_retries is not None:
                    max_retries = request.max_retries
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
        with self._translator.connect_errors():
            # A redirect, which would turn the POST into a GET, is reported instead.
            response = await self._open_sessions().request(
                request.method,
                self.root + request.path,
                headers={**self._headers, **request.headers},
                data=request.new_body(),
            )
            if response.status < 300:  # noqa: PLR2004 - HTTP's own classes
                return response
            async with response:
                body = await response.content.read(MAX_ERROR_BYTES)
                raise self._translator.error_response(response, body)

    def _open_sessions(self) -> Sessions:
        if self._is_closed:
            raise RuntimeError("this AsyncFlamingoClient is closed")
        return self._sessions


async def read_limited(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Return the body of `response`.

    Raises:
        UnexpectedResponse: it exceeds `max_bytes`.
    """
    chunks, num_bytes = [], 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        num_bytes += len(chunk)
        if num_bytes > max_bytes:
            raise failures.UnexpectedResponse(f"the response exceeds {max_bytes} bytes")
    return b"".join(chunks)
