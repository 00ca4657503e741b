"""The sockets to the pods, which are shut down when their pod becomes unreachable.

A pod that hangs keeps its connections open: the kernel acknowledges for it, and a request
there waits without limit. Once the pod counts as unreachable its sockets are shut down, so that
a request without a response is retried elsewhere, and a response in progress ends with an
error.
"""

import contextlib
import socket
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from aiohttp.connector import AddrInfoType

KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""A node that lost power sends no reset: keepalive detects that in 30 s."""


class PodSockets:
    """The open sockets by peer."""

    def __init__(self) -> None:
        self._peers: WeakKeyDictionary[socket.socket, tuple[str, int]] = WeakKeyDictionary()

    def create(self, info: AddrInfoType) -> socket.socket:
        """Return a socket for one resolved address."""
        family, kind, protocol, _, peer = info
        connection = socket.socket(family, kind, protocol)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):  # macOS has another name for the first
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._peers[connection] = (str(peer[0]), int(peer[1]))
        return connection

    def shut_down(self, address: str) -> int:
        """Shut down all sockets to the IP address and port in `address`; return how many."""
        parts = urlsplit(address)
        target = (parts.hostname, parts.port or 80)
        found = [connection for connection, peer in self._peers.items() if peer == target]
        for connection in found:
            with contextlib.suppress(OSError):  # it has just been closed
                connection.shutdown(socket.SHUT_RDWR)
        return len(found)
