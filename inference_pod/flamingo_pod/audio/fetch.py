"""Fetch a clip from an `http(s)` URL, without reaching addresses that are not public.

`flamingo_common.service.public_http` checks each address at the time it connects.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractResolver
from yarl import URL

from flamingo_common.errors import BadRequest, MediaFetchFailed, RequestTooLarge
from flamingo_common.service import addresses, content_coding, fetch_errors, public_http
from flamingo_pod.audio.memory_budget import Reservation
from flamingo_pod.audio.memory_file import MemoryFile

MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
CHUNK_BYTES = 2**18
HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?<(?:!doctype html|html)\b", re.IGNORECASE | re.DOTALL
)


STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]{1,256}"')
"""A weak one (`W/"…"`) is also that of other bytes."""


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """The content of a URL, and the ETag by which its server knows these bytes; or empty."""

    file: MemoryFile
    etag: str


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches clips within limits of time, size, address and concurrency."""

    is_enabled: bool
    networks: Sequence[addresses.Network]
    """Networks that are allowed although they are not public."""
    timeout_s: float
    max_bytes: int
    slots: asyncio.Semaphore
    """Limits concurrent fetches; the others wait, within their timeout."""
    hosts: Sequence[str]
    """The only hosts allowed; if empty, any host is."""
    resolver: AbstractResolver | None = None
    """Resolves host names; None is the system's resolver."""

    async def fetch(self, url: str, reservation: Reservation) -> MemoryFile:
        """Return the content of `url`; raises as `fetch_if_changed`."""
        fetched = await self.fetch_if_changed(url, "", reservation)
        assert fetched is not None  # no ETag was sent
        return fetched.file

    async def fetch_if_changed(
        self, url: str, etag: str, reservation: Reservation
    ) -> FetchedFile | None:
        """Return the content of `url`; None if its server says that it still has this `etag`.

        Raises:
            BadRequest: not an http(s) URL, not an allowed host, or fetching is disabled.
            MediaFetchFailed: not allowed, unreachable, too slow, or responded with an error.
            RequestTooLarge: more than `max_bytes`.
            Overloaded: the pod's memory budget is exhausted.
        """
        target = self._checked(url)
        try:
            async with asyncio.timeout(self.timeout_s), self.slots:
                return await self._get(target, etag, reservation)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            is_over = isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError)
            reason = f"it took longer than {self.timeout_s:g} s"
            raise _fetch_failed(reason if is_over else fetch_errors.explain(error)) from None

    def _checked(self, url: str) -> URL:
        if not self.is_enabled:
            raise BadRequest(
                "this server does not fetch audio from URLs; send the audio itself", param="url"
            )
        try:
            target = addresses.parse_url(url)
        except ValueError as error:
            raise BadRequest(f"the audio's url {error}", param="url") from None
        if problem := addresses.url_error(target, self.hosts):
            raise BadRequest(f"the audio's url {problem}", param="url")
        return target

    async def _get(self, url: URL, etag: str, reservation: Reservation) -> FetchedFile | None:
        headers = {hdrs.IF_NONE_MATCH: etag} if etag else {}
        async with public_http.create_session(self.networks, resolver=self.resolver) as session:
            visited = {url}
            while True:
                async with session.get(url, allow_redirects=False, headers=headers) as response:
                    if etag and response.status == HTTPStatus.NOT_MODIFIED:
                        return None
                    if response.status not in REDIRECTS:
                        file = await self._read(response, reservation)
                        return FetchedFile(file, _strong_etag(response))
                    url = self._redirected(url, response.headers.get("Location"))
                if url in visited:
                    raise _fetch_failed("it redirects in a circle")
                if len(visited) > MAX_REDIRECTS:
                    raise _fetch_failed(f"it redirects more than {MAX_REDIRECTS} times")
                visited.add(url)

    def _redirected(self, url: URL, location: str | None) -> URL:
        if location is None:
            raise _fetch_failed("it redirects without saying where to")
        try:
            target = url.join(addresses.parse_url(location))
        except ValueError:
            raise _fetch_failed("it redirects to what is not a valid URL") from None
        if problem := addresses.url_error(target, self.hosts):
            raise _fetch_failed(f"it redirects to a URL that {problem}")
        return target

    async def _read(self, response: aiohttp.ClientResponse, reservation: Reservation) -> MemoryFile:
        if response.status != 200:  # noqa: PLR2004 - HTTP's OK
            raise _fetch_failed(f"the server responded with {_status(response.status)}")
        if coding := content_coding.coding_of(response.headers):
            raise _fetch_failed(
                f"the server sent it with Content-Encoding: {coding}, although only identity is"
                " accepted"
            )
        file = reservation.new_file()
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            if not file.size and HTML.match(chunk):
                raise _fetch_failed(
                    "the server sent an HTML page, not audio; use the address of the file itself"
                )
            if file.size + len(chunk) > self.max_bytes:
                raise RequestTooLarge(
                    f"the audio at the URL exceeds the limit of {self.max_bytes} bytes"
                )
            reservation.add(len(chunk))
            file.write(chunk)
        return file


def _strong_etag(response: aiohttp.ClientResponse) -> str:
    stated = response.headers.get(hdrs.ETAG, "")
    return stated if STRONG_ETAG.fullmatch(stated) else ""


def _status(number: int) -> str:
    known = {each.value: each.phrase for each in HTTPStatus}
    return f"status {number} ({known[number]})" if number in known else f"status {number}"


def _fetch_failed(reason: str) -> MediaFetchFailed:
    return MediaFetchFailed(f"the audio's URL could not be fetched: {reason}", param="url")
