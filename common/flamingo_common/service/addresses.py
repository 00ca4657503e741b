"""Addresses that audio may be fetched from: public ones, and networks that are allowed explicitly.

`ipaddress.is_global` alone is not a safe check: it accepts the networks in `DENIED`.

Pure.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

Network = IPv4Network | IPv6Network

DENIED: Sequence[Network] = [
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # Azure's metadata and DHCP service
        "192.0.0.0/24",  # IETF protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "192.31.196.0/24",  # AS112, a sink for misdirected DNS queries
        "192.52.193.0/24",  # automatic multicast tunneling
        "192.175.48.0/24",  # AS112
        "224.0.0.0/4",  # multicast
        "2001::/23",  # Teredo and other protocol assignments
        "2002::/16",  # 6to4, which embeds an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
]
GLOBAL_UNICAST = ip_network("2000::/3")
"""The public part of IPv6; addresses outside are local or embed IPv4 addresses."""

PUBLIC_PORTS = frozenset({80, 443})


def is_allowed(host: str, port: int, allowed: Sequence[Network]) -> bool:
    """Return whether to connect to the numeric address `host`.

    All ports of the `allowed` networks are, and ports 80 and 443 of public addresses.
    """
    address = _unmapped(ip_address(host.partition("%")[0]))
    if any(address in network for network in allowed):
        return True
    return port in PUBLIC_PORTS and _is_public(address)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    return address.is_global and not any(address in network for network in DENIED)


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address of an IPv4-mapped one (`::ffff:a.b.c.d`); others unchanged."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def url_error(url: URL, hosts: Sequence[str]) -> str | None:
    """Return why a clip's `url` is not allowed, as the rest of a sentence about it; None if it is.

    Only `hosts` are allowed, if there are any: a host name, or `*.` and a domain.
    """
    if url.scheme not in {"http", "https"} or not url.host:
        return "must be an http(s) or data: URL"
    if url.user is not None or url.password is not None:
        return "must not have a user name or password"
    if hosts and not any(_matches(url.host, pattern) for pattern in hosts):
        return f"must be on one of the allowed hosts: {', '.join(hosts)}"
    return None


def _matches(host: str, pattern: str) -> bool:
    name, expected = host.lower().rstrip("."), pattern.lower()
    return name.endswith(expected[1:]) if expected.startswith("*.") else name == expected
