"""Fetch a clip from an `http(s)` URL, and from nowhere it should not come from.

The address is checked where the socket is made, so literals, names, redirects
and names that change between two look-ups all meet the same check.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from flamingo.errors import BadRequest, MediaFetchFailed, RequestTooLarge
from flamingo_pod import addresses

MAX_REDIRECTS = 3
CHUNK_BYTES = 2**18


class AddressDenied(OSError):
    """The address is not one that may be fetched from."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """How clips are fetched."""

    is_on: bool
    networks: Sequence[addresses.Network]
    deadline_s: float
    max_bytes: int

    async def fetch(self, url: str) -> bytes:
        """Return what `url` holds.

        Raises:
            BadRequest: not an http(s) URL, or fetching is off.
            MediaFetchFailed: refused, unreachable, slow, or answered with an error.
            RequestTooLarge: more than `max_bytes`.
        """
        target = self._checked(url)
        try:
            return await self._get(target)
        except aiohttp.ClientConnectorError as error:
            is_denied = isinstance(error.os_error, AddressDenied)
            why = "its address may not be fetched from" if is_denied else "it cannot be reached"
        except TimeoutError:
            why = f"it took over {self.deadline_s:g} s"
        except (aiohttp.ClientError, ValueError):
            why = "it gave no valid answer"
        raise MediaFetchFailed(f"the audio's URL was not fetched: {why}", param="url")

    def _checked(self, url: str) -> URL:
        if not self.is_on:
            raise BadRequest("this server fetches no URLs; send the audio itself", param="url")
        try:
            target = URL(url)
        except ValueError:
            target = URL()
        if target.scheme not in {"http", "https"} or not target.host:
            raise BadRequest("the audio's url must be an http(s) or data: URL", param="url")
        return target

    async def _get(self, url: URL) -> bytes:
        # No cookies, no proxy from the environment, no decompression (a bomb),
        # and a connector of its own: nothing is shared between two clients' URLs.
        connector = aiohttp.TCPConnector(socket_factory=self._socket, force_close=True)
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self.deadline_s, connect=5),
                auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
            ) as session,
            session.get(url, max_redirects=MAX_REDIRECTS) as response,
        ):
            if response.status != 200:  # noqa: PLR2004 - HTTP's OK
                raise MediaFetchFailed(
                    f"the audio's URL answered with status {response.status}", param="url"
                )
            return await self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        data = bytearray()
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            data += chunk
            if len(data) > self.max_bytes:
                raise RequestTooLarge(f"the audio's URL holds over {self.max_bytes} bytes")
        return bytes(data)

    def _socket(self, info: Any) -> socket.socket:
        """Make the socket for one resolved address, or refuse to."""
        family, kind, protocol, _, address = info
        host, port = address[:2]
        if not addresses.is_allowed(host, port, self.networks):
            raise AddressDenied
        return socket.socket(family, kind, protocol)
