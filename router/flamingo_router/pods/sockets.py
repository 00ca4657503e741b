"""The connections to the pods, which are closed when their pod becomes unreachable.

A pod that hangs keeps its connections open: the kernel acknowledges for it, and a request
there waits without limit. Once the pod counts as unreachable its connections are closed, so that
a request without a response is retried elsewhere, and a response in progress ends with an
error. A connection is remembered under the address of its endpoint, since a name
can resolve to any IP address.
"""

import asyncio
import socket
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.tracing import Trace
from yarl import URL

from flamingo_router.balancing.loop_lag import LoopLag

KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""A node that lost power sends no reset: keepalive detects that in 30 s."""
MAX_CONNECTIONS = 4096
IDLE_CONNECTION_S = 15.0
"""Idle connections are closed well before a pod does it, so that no
request is sent on a connection that is being closed."""


LATE_SHARE = 0.2
"""The part of the timeout of a connection which this router must have lost to be the cause."""
MAX_LATE_CONNECTS = 20
"""How often a connection is tried again whose timeout this router has caused."""


class PodConnector(aiohttp.TCPConnector):
    """Opens the connections, and knows to which endpoint each belongs."""

    def __init__(self, lag: LoopLag) -> None:
        super().__init__(
            limit=MAX_CONNECTIONS, keepalive_timeout=IDLE_CONNECTION_S, socket_factory=_socket
        )
        self._lag = lag
        self._origins: WeakKeyDictionary[asyncio.Transport, URL] = WeakKeyDictionary()

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        """Return a connection, new or idle, and remember its endpoint."""
        connection = await self._connect(req, traces, timeout)
        if connection.transport is not None:
            self._origins[connection.transport] = req.url.origin()
        return connection

    async def _connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        """Return a connection; try again where this router, and not the pod, was late."""
        for _ in range(MAX_LATE_CONNECTS):
            lost_s = self._lag.lost_s
            try:
                return await super().connect(req, traces, timeout)
            except TimeoutError:
                lost_s = self._lag.lost_s - lost_s
                if lost_s < LATE_SHARE * (timeout.sock_connect or 0.0):
                    raise
        return await super().connect(req, traces, timeout)

    def abort_all(self, address: str) -> int:
        """Abort all connections to the endpoint at `address`; return how many there were."""
        origin = URL(address).origin()
        found = [transport for transport, known in self._origins.items() if known == origin]
        for transport in found:
            transport.abort()
        return len(found)


def _socket(info: AddrInfoType) -> socket.socket:
    """Return a socket for one resolved address, which notices a node that has lost power."""
    family, kind, protocol, *_ = info
    connection = socket.socket(family, kind, protocol)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # macOS has another name for the first
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection
