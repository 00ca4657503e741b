"""Fetch a clip from an `http(s)` URL, and from nowhere it should not come from.

`flamingo_common.service.public_http` checks each address.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from flamingo_common.errors import BadRequest, MediaFetchFailed, RequestTooLarge
from flamingo_common.service import addresses, public_http
from flamingo_pod.audio.memory_budget import Reservation
from flamingo_pod.audio.memory_file import MemoryFile

MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
CHUNK_BYTES = 2**18


@dataclass(frozen=True, slots=True)
class Fetcher:
    """How clips are fetched."""

    is_on: bool
    networks: Sequence[addresses.Network]
    deadline_s: float
    max_bytes: int
    slots: asyncio.Semaphore
    """As many as may be fetched at once; the others wait, within their deadline."""
    hosts: Sequence[str] = ()
    """If any, then only these."""
    resolver: AbstractResolver | None = None
    """Where names are looked up; None is the system's way."""

    async def fetch(self, url: str, holding: Reservation) -> MemoryFile:
        """Return what `url` holds.

        Raises:
            BadRequest: not an http(s) URL, not one of the hosts, or fetching is off.
            MediaFetchFailed: refused, unreachable, slow, or answered with an error.
            RequestTooLarge: more than `max_bytes`.
            Overloaded: more than the pod may hold.
        """
        target = self._checked(url)
        try:
            async with asyncio.timeout(self.deadline_s), self.slots:
                return await self._get(target, holding)
        except aiohttp.ClientConnectorError as error:
            is_denied = isinstance(error.os_error, public_http.AddressDenied)
            why = "its address may not be fetched from" if is_denied else "it cannot be reached"
        except TimeoutError:
            why = f"it took over {self.deadline_s:g} s"
        except (aiohttp.ClientError, ValueError):
            why = "it gave no valid answer"
        raise _not_fetched(why)

    def _checked(self, url: str) -> URL:
        if not self.is_on:
            raise BadRequest("this server fetches no URLs; send the audio itself", param="url")
        try:
            target = URL(url)
        except ValueError:
            target = URL()
        if fault := addresses.url_error(target, self.hosts):
            raise BadRequest(f"the audio's url {fault}", param="url")
        return target

    async def _get(self, url: URL, holding: Reservation) -> MemoryFile:
        async with public_http.create_session(self.networks, resolver=self.resolver) as session:
            for _ in range(MAX_REDIRECTS + 1):
                async with session.get(url, allow_redirects=False) as response:
                    location = response.headers.get("Location")
                    if response.status not in REDIRECTS or location is None:
                        return await self._read(response, holding)
                url = url.join(URL(location))
                if fault := addresses.url_error(url, self.hosts):
                    raise _not_fetched(f"it redirects to a URL that {fault}")
        raise _not_fetched(f"it redirects over {MAX_REDIRECTS} times")

    async def _read(self, response: aiohttp.ClientResponse, holding: Reservation) -> MemoryFile:
        if response.status != 200:  # noqa: PLR2004 - HTTP's OK
            raise MediaFetchFailed(
                f"the audio's URL answered with status {response.status}", param="url"
            )
        file = holding.file()
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            if file.size + len(chunk) > self.max_bytes:
                raise RequestTooLarge(f"the audio's URL holds over {self.max_bytes} bytes")
            holding.reserve(len(chunk))
            file.write(chunk)
        return file


def _not_fetched(why: str) -> MediaFetchFailed:
    return MediaFetchFailed(f"the audio's URL was not fetched: {why}", param="url")
