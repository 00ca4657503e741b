"""HTTP sessions for URLs that clients send, restricted to allowed addresses.

The address is checked when the socket is created, so the check also covers IP literals,
redirects, and names whose resolution changes (DNS rebinding).
"""

import socket
from collections.abc import Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

from flamingo_common.service import addresses

CONNECT_TIMEOUT_S = 5
USER_AGENT = "flamingo-fleet"
"""Without the versions of libraries, which aiohttp's own has."""


class AddressDenied(OSError):
    """Connections to the address are not allowed; the message is the rest of a sentence."""


def create_session(
    networks: Sequence[addresses.Network], *, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """Return a session that connects to public addresses, and to private ones in `networks`."""

    def create_socket(info: Any) -> socket.socket:
        """Create the socket for one resolved address, if it is allowed."""
        family, kind, protocol, _, address = info
        host, port = address[:2]
        if denial := addresses.denial(host, port, networks):
            raise AddressDenied(denial)
        return socket.socket(family, kind, protocol)

    # No cookies, no proxy from the environment, no decompression (against zip bombs), and a
    # separate connector: clients share nothing.
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            socket_factory=create_socket, force_close=True, resolver=resolver
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity", "User-Agent": USER_AGENT},
    )
