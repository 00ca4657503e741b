"""Sessions to where a client's URL leads, and to nowhere it must not lead.

The address is checked where the socket is made, so literals, names, redirects
and names that change between two look-ups all meet the same check.
"""

import socket
from collections.abc import Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

from flamingo_common.service import addresses

CONNECT_S = 5


class AddressDenied(OSError):
    """The address is not one that may be fetched from."""


def create_session(
    networks: Sequence[addresses.Network], *, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """Return a session that reaches public addresses, and private ones in `networks`."""

    def checked(info: Any) -> socket.socket:
        """Make the socket for one resolved address, or refuse to."""
        family, kind, protocol, _, address = info
        host, port = address[:2]
        if not addresses.is_allowed(host, port, networks):
            raise AddressDenied
        return socket.socket(family, kind, protocol)

    # No cookies, no proxy from the environment, no decompression (a bomb),
    # and a connector of its own: nothing is shared between two clients' URLs.
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(socket_factory=checked, force_close=True, resolver=resolver),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
    )
