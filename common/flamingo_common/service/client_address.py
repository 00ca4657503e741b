"""The address of the client of a request, past the proxies that are trusted.

A proxy appends the address of its peer to `X-Forwarded-For`, which any client can also send.
So the list is read from its end, and only as far as each sender is a trusted proxy: the
first that is not is the client. Only this one header is read: a proxy that sets it may pass on
a `Forwarded` that the client has written.

Pure.
"""

import ipaddress
from collections.abc import Sequence

from flamingo_common.service.addresses import Network
from flamingo_common.service.connection_limits import shown_address

UNKNOWN = ""
"""The client of a Unix socket."""


def client_address(peer: str | None, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Return the client's IP address.

    `peer` is the address of the connection, `forwarded_for` the `X-Forwarded-For` header.
    """
    client = shown_address(peer) or UNKNOWN
    for text in reversed(forwarded_for.split(",")):
        address = _bare(text)
        if not address or not _is_in(client, trusted):
            break
        client = address
    return client


def forwarded_element(client: str) -> str:
    """Return the `Forwarded` header (RFC 7239) for a request of `client`."""
    return f'for="[{client}]"' if ":" in client else f"for={client}"


def _bare(text: str) -> str:
    """Return the address in an element of the list, without its port; empty if it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return shown_address(str(ipaddress.ip_address(text))) or ""
    except ValueError:
        return ""


def _is_in(text: str, networks: Sequence[Network]) -> bool:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return any(address in network for network in networks)
