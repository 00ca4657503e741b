"""An address of this machine other than loopback."""

import socket

import pytest


def own_address() -> str:
    """Return an address of this machine other than loopback; skip the test where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try:
            sender.connect(("198.51.100.1", 9))  # of a datagram socket: nothing is sent
        except OSError as error:
            pytest.skip(f"this machine has no IPv4 address other than loopback: {error}")
        return str(sender.getsockname()[0])
