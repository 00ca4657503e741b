"""One exchange with a fleet: send, send again where that helps, or raise what went wrong.

Every failure leaves this file as a `FlamingoError`: told by the server (the same
class it raised there), or one of `flamingo.client.failures`. Nothing is sent
twice once an answer has begun.
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
from flamingo.client.fields import Fields
from flamingo.client.sources import Clip
from flamingo_common import errors
from flamingo_common.wire import REQUEST_ID_HEADER

CONNECT_S = 10.0

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Manners:
    """How patient and how insistent a client is."""

    timeout_s: float
    """Seconds without a byte from the server after which a request fails."""
    max_retries: int
    sleep: Sleep


@dataclass(frozen=True)
class Call:
    """One request: a GET without `fields`, a POST with them."""

    path: str
    fields: Fields | None = None
    clip: Clip | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "GET" if self.fields is None else "POST"

    def body(self) -> payload.Payload | None:
        """Return a new body: each attempt sends its own."""
        if self.fields is None:
            return None
        if self.clip is None:
            return bodies.of_json(self.fields)
        return bodies.of_clip(self.fields, self.clip)


class Transport:
    """Exchanges with one address, over connections that are kept."""

    def __init__(self, root: str, headers: dict[str, str], manners: Manners) -> None:
        self.root = root
        self._headers = headers
        self._manners = manners
        self._session: aiohttp.ClientSession | None = None

    async def read(self, call: Call, parse: Callable[[bytes], T]) -> T:
        """Return the whole answer to `call`, parsed beside the event loop: it may be 200 MB."""
        async with self.answer(call) as response:
            return await asyncio.to_thread(parse, await response.read())

    @contextlib.asynccontextmanager
    async def answer(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the answer to `call`, its body still to be read.

        Raises:
            FlamingoError: the server refused, could not be reached, or was lost;
                also what is lost inside the block.
        """
        response = await self._insist(call)
        try:
            with self._losses_told(response):
                yield response
        finally:
            response.close()  # an answer read to its end has already given its connection back

    async def fetch(self, url: str, file: BinaryIO) -> None:
        """Download `url` into `file`; nothing of the fleet's key goes along."""
        await download.fetch(self._opened_session(), url, file)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _insist(self, call: Call) -> aiohttp.ClientResponse:
        num_failed = 0
        while True:
            try:
                return await self._once(call)
            except errors.FlamingoError as error:
                num_failed += 1
                max_retries = self._manners.max_retries
                if not retries.is_worth_it(error, num_failed=num_failed, max_retries=max_retries):
                    raise
                dice = random.random()  # noqa: S311 - spreads clients, hides nothing
                wait_s = retries.wait_s(error, num_failed=num_failed, dice=dice)
            await self._manners.sleep(wait_s)

    async def _once(self, call: Call) -> aiohttp.ClientResponse:
        with self._failures_told():
            # A redirect would turn the POST into a GET; it is told instead.
            response = await self._opened_session().request(
                call.method,
                self.root + call.path,
                data=call.body(),
                headers=self._headers,
                allow_redirects=False,
            )
            if response.status < 300:  # noqa: PLR2004 - HTTP's own classes
                return response
            async with response:
                raise await self._refusal(response)

    async def _refusal(self, response: aiohttp.ClientResponse) -> errors.FlamingoError:
        location = response.headers.get("Location")
        if response.status < 400 and location:  # noqa: PLR2004 - HTTP's own classes
            return failures.foreign(self.root, f"it redirects to {location}")
        error = errors.from_response(response.status, await response.read(), _retry_after(response))
        error.request_id = response.headers.get(REQUEST_ID_HEADER)
        return error

    def _opened_session(self) -> aiohttp.ClientSession:
        """Return the session; it belongs to the event loop that first asks."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_S, sock_read=self._manners.timeout_s
            )
            # No header is set for the session: downloads from elsewhere use it too.
            self._session = aiohttp.ClientSession(timeout=timeout)
        return self._session

    @contextlib.contextmanager
    def _failures_told(self) -> Iterator[None]:
        """Translate what aiohttp raises before an answer has begun."""
        try:
            yield
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise failures.unreachable(self.root, _why(error)) from error
        except TimeoutError as error:
            raise failures.silent(self.root, self._manners.timeout_s) from error
        except aiohttp.ClientResponseError as error:  # what answers there speaks no HTTP
            raise failures.foreign(self.root, error.message) from error
        except aiohttp.ClientError as error:
            if isinstance(error.__cause__, EOFError):
                raise errors.InvalidAudio(str(error.__cause__), param="file") from error
            raise failures.hung_up(self.root) from error

    @contextlib.contextmanager
    def _losses_told(self, response: aiohttp.ClientResponse) -> Iterator[None]:
        """Translate what goes wrong while an answer is read; name the request in it."""
        try:
            yield
        except (errors.FlamingoError, aiohttp.ClientError, TimeoutError, ValidationError) as error:
            told = self._loss(error)
            told.request_id = response.headers.get(REQUEST_ID_HEADER)
            if told is error:
                raise
            raise told from error

    def _loss(self, error: Exception) -> errors.FlamingoError:
        match error:
            case errors.FlamingoError():
                return error
            case TimeoutError():
                return failures.silent(self.root, self._manners.timeout_s)
            case ValidationError():
                return failures.foreign(self.root, _first_fault(error))
            case _:
                return errors.UpstreamLost(f"{self.root} was lost in the middle of its answer")


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"


def _why(error: aiohttp.ClientError | TimeoutError) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection within {CONNECT_S:g} s"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is not known"
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else str(error)


def _retry_after(response: aiohttp.ClientResponse) -> str | None:
    """Return the seconds to stay away, as the server told them; the exact form first."""
    exact_ms = response.headers.get("retry-after-ms", "")
    if exact_ms.isdecimal():
        return str(int(exact_ms) / 1000)
    return response.headers.get("Retry-After")
