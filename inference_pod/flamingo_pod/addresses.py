"""Which addresses audio may be fetched from: the public internet, and what is allowed by name.

`ipaddress.is_global` alone is not a safe test: it lets
through the addresses below.

Pure.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

DENIED: Sequence[Network] = [
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's metadata and DHCP service
        "192.0.0.0/24",  # IETF protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "224.0.0.0/4",  # multicast
        "64:ff9b::/96",  # NAT64: an IPv4 address in disguise
        "64:ff9b:1::/48",
        "2001::/23",  # Teredo and other protocol assignments
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
]


PUBLIC_PORTS = frozenset({80, 443})


def is_allowed(host: str, port: int, allowed: Sequence[Network]) -> bool:
    """Return whether a connection to the numeric address `host` may be made.

    In the `allowed` networks any port may be, elsewhere the web's two.
    """
    address = _plain(ip_address(host.partition("%")[0]))
    if any(address in network for network in allowed):
        return True
    is_public = address.is_global and not any(address in network for network in DENIED)
    return is_public and port in PUBLIC_PORTS


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that `::ffff:a.b.c.d` really is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
