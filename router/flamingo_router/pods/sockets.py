"""The connections to the pods: how each is made, and how all to one pod are cut.

A pod that hangs keeps its connections: the kernel answers for it, and whoever waits
there waits for ever. Once it is known to be lost they are cut, so that what has not
begun is tried elsewhere, and what has ends with an error.
"""

import contextlib
import socket
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from aiohttp.connector import AddrInfoType

KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""A node that lost its power sends no reset: this finds it in 30 s."""


class Sockets:
    """Those that are open."""

    def __init__(self) -> None:
        self._peers: WeakKeyDictionary[socket.socket, tuple[str, int]] = WeakKeyDictionary()

    def make(self, info: AddrInfoType) -> socket.socket:
        """Return a socket for one resolved address."""
        family, kind, protocol, _, peer = info
        connection = socket.socket(family, kind, protocol)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):  # macOS knows the first by another name
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._peers[connection] = (str(peer[0]), int(peer[1]))
        return connection

    def cut(self, address: str) -> int:
        """End all connections to a pod, given by its IP address; return how many there were."""
        parts = urlsplit(address)
        at = (parts.hostname, parts.port or 80)
        found = [connection for connection, peer in self._peers.items() if peer == at]
        for connection in found:
            with contextlib.suppress(OSError):  # it has just ended by itself
                connection.shutdown(socket.SHUT_RDWR)
        return len(found)
