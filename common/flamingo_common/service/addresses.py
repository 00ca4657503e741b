"""Which addresses audio may be fetched from: the public internet, and what is allowed by name.

`ipaddress.is_global` alone is not a safe test: it lets
through the addresses below.

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
        "192.31.196.0/24",  # AS112, a sink for strayed look-ups
        "192.52.193.0/24",  # automatic multicast tunnels
        "192.175.48.0/24",  # AS112
        "224.0.0.0/4",  # multicast
        "2001::/23",  # Teredo and other protocol assignments
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
]
GLOBAL_UNICAST = ip_network("2000::/3")
"""All of IPv6 that is the public internet; what lies outside is local, or embeds IPv4."""

PUBLIC_PORTS = frozenset({80, 443})


def is_allowed(host: str, port: int, allowed: Sequence[Network]) -> bool:
    """Return whether a connection to the numeric address `host` may be made.

    In the `allowed` networks any port may be, elsewhere the web's two.
    """
    address = _plain(ip_address(host.partition("%")[0]))
    if any(address in network for network in allowed):
        return True
    return port in PUBLIC_PORTS and _is_public(address)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    return address.is_global and not any(address in network for network in DENIED)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that `::ffff:a.b.c.d` really is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def url_error(url: URL, hosts: Sequence[str]) -> str | None:
    """Return what is wrong with a clip's `url`, put after "the url"; None if nothing is.

    `hosts`, if any, are the only ones: a name, or `*.` and the domain it ends with.
    """
    if url.scheme not in {"http", "https"} or not url.host:
        return "must be an http(s) or data: URL"
    if url.user is not None or url.password is not None:
        return "must hold no user or password: none is sent"
    if hosts and not any(_is_host(url.host, pattern) for pattern in hosts):
        return f"must be of one of these hosts: {', '.join(hosts)}"
    return None


def _is_host(host: str, pattern: str) -> bool:
    name, wanted = host.lower().rstrip("."), pattern.lower()
    return name.endswith(wanted[1:]) if wanted.startswith("*.") else name == wanted
