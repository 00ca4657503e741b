"""The connections of a client: one aiohttp session for each event loop that uses it.

A connection belongs to the event loop and the process that opened it. A client that is used from
another loop, as in two calls of `asyncio.run`, or in a forked process, opens new ones.
"""

import asyncio
import functools
import socket
import ssl
import weakref
from collections.abc import Mapping
from typing import Any

import aiohttp

from flamingo.client import certificates, forks
from flamingo.client.proxies import ProxySettings

CONNECT_TIMEOUT_S = 10.0


class _Connector(aiohttp.TCPConnector):
    """A connector that knows its sockets, and can be given up without closing connections."""

    def __init__(self) -> None:
        self.sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.is_given_up = False
        super().__init__(socket_factory=self._new_socket)

    def _new_socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol = address[:3]
        new = socket.socket(family, kind, protocol)
        self.sockets.add(new)
        return new

    def __del__(self, *arguments: Any) -> None:
        if not self.is_given_up:
            super().__del__(*arguments)


class Sessions:
    """The sessions of one client.

    Unlike with aiohttp's `trust_env`, `~/.netrc` is not read: its passwords would take the place
    of the API key.
    """

    def __init__(self, *, read_timeout_s: float, proxies: ProxySettings) -> None:
        self._proxies = proxies
        # No default headers: downloads from other hosts use these sessions too.
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=read_timeout_s
        )
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        forks.register(self, Sessions._give_up_all)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], data: Any = None
    ) -> aiohttp.ClientResponse:
        """Return the response to a request; redirects are not followed.

        Raises:
            ClientError, TimeoutError: there is no response.
            BadRequest: the environment names a proxy or certificates that cannot be used.
        """
        proxy = self._proxies.proxy_for(url)
        is_encrypted = any(
            text.lower().startswith("https:") for text in (url, proxy.url if proxy else "")
        )
        return await self._session().request(
            method,
            url,
            headers=headers,
            data=data,
            proxy=proxy.url if proxy else None,
            ssl=self._tls_context if is_encrypted else True,
            allow_redirects=False,
        )

    @functools.cached_property
    def _tls_context(self) -> ssl.SSLContext:
        return certificates.tls_context()

    def _session(self) -> aiohttp.ClientSession:
        """Return the session of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            self._give_up_closed_loops()
            self._sessions[loop] = aiohttp.ClientSession(
                timeout=self._timeout, connector=_Connector()
            )
        return self._sessions[loop]

    async def close(self) -> None:
        """Close all connections, those of other running event loops in the background."""
        self._give_up_closed_loops()
        sessions, self._sessions = self._sessions, {}
        for loop, session in sessions.items():
            if loop is asyncio.get_running_loop():
                await session.close()
            else:
                asyncio.run_coroutine_threadsafe(session.close(), loop)

    def _give_up_all(self) -> None:
        """Give up the parent's connections, which stay open there."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            connector = _give_up(session)
            forks.disconnect(connector.sockets)
            forks.keep((session, connector))

    def _give_up_closed_loops(self) -> None:
        for loop in [loop for loop in self._sessions if loop.is_closed()]:
            for each in _give_up(self._sessions.pop(loop)).sockets:
                each.close()


def _give_up(session: aiohttp.ClientSession) -> _Connector:
    """Make `session` one that is not closed when it is destroyed; return its connector."""
    connector = session.connector
    assert isinstance(connector, _Connector)
    connector.is_given_up = True
    session.detach()
    return connector
