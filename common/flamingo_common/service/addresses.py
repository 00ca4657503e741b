"""Addresses that audio may be fetched from: public ones, and networks that are allowed explicitly.

`ipaddress.is_global` alone is not a safe check: it accepts the networks in `DENIED`.

Pure.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

_SCHEME_ADVICE = {
    "file": "; the server cannot read files of yours: send the file itself",
    "s3": "; create a presigned https URL of the object",
    "gs": "; create a signed https URL of the object",
}
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

MAX_NAME_CHARS, MAX_LABEL_CHARS = 253, 63
"""Of a host's name and of each part between its dots, as in DNS."""

PUBLIC_PORTS = frozenset({80, 443})


def is_allowed(host: str, port: int, allowed: Sequence[Network]) -> bool:
    """Return whether to connect to the numeric address `host`.

    All ports of the `allowed` networks are, and ports 80 and 443 of public addresses.
    """
    address = _unmapped(ip_address(host.partition("%")[0]))
    if any(address in network for network in allowed):
        return True
    return port in PUBLIC_PORTS and _is_public(address)


def denial(host: str, port: int, allowed: Sequence[Network]) -> str | None:
    """Return why not to connect to the numeric address `host`; None where that is allowed."""
    if is_allowed(host, port, allowed):
        return None
    if not _is_public(_unmapped(ip_address(host.partition("%")[0]))):
        return "its address is not allowed, because it is not public"
    ports = " and ".join(str(each) for each in sorted(PUBLIC_PORTS))
    return f"its port {port} is not allowed; the allowed ports are {ports}"


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
    if url.scheme not in {"http", "https"}:
        return _scheme_error(url.scheme)
    if not url.host:
        return "has no host; it must look like https://HOST/PATH"
    if problem := _authority_error(url):
        return problem
    if hosts and not any(_matches(url.host, pattern) for pattern in hosts):
        return f"must be on one of the allowed hosts: {', '.join(hosts)}"
    return None


def _authority_error(url: URL) -> str | None:
    if url.user is not None or url.password is not None:
        return "must not have a user name or password"
    if "%" in (url.host or ""):
        return "must not have an IPv6 zone"
    return "has the port 0, which no server can have" if url.port == 0 else None


def parse_url(text: str) -> URL:
    """Return the URL that a client has sent.

    Raises:
        ValueError: it is not a valid URL; the message is the rest of a sentence about it.
    """
    try:
        url = URL(text.strip())
    except UnicodeError:
        raise ValueError(f"has a host that is not a valid name: {_host_in(text)!r}") from None
    except ValueError:
        raise ValueError("is not a valid http(s) URL") from None
    if not _is_valid_host(url):
        raise ValueError(f"has a host that is not a valid name: {_shortened(url.raw_host)!r}")
    return url


def _is_valid_host(url: URL) -> bool:
    """Return whether a resolver can be asked for the host; numeric ones and none are valid, too."""
    try:
        name = url.host  # decodes Punycode
    except UnicodeError:
        return False
    if not name or ":" in name:
        return True
    raw = (url.raw_host or "").removesuffix(".")
    labels = raw.split(".")
    return len(raw) <= MAX_NAME_CHARS and all(0 < len(each) <= MAX_LABEL_CHARS for each in labels)


def _host_in(text: str) -> str:
    """Return the host in the text of an invalid URL, without a user and password."""
    authority = re.split(r"[/?#\\]", text.partition("://")[2], maxsplit=1)[0]
    return _shortened(authority.rpartition("@")[2])


def _shortened(host: str | None) -> str:
    """Return a host that may be long."""
    host = host or ""
    return host if len(host) <= MAX_LABEL_CHARS else f"{host[:MAX_LABEL_CHARS]}…"


def _scheme_error(scheme: str) -> str:
    if not scheme:
        return "has no scheme; it must be an http(s) or data: URL (base64: data:audio/wav;base64,…)"
    advice = _SCHEME_ADVICE.get(scheme, "")
    return f"has the scheme {scheme[:32]}, but must be an http(s) or data: URL{advice}"


def _matches(host: str, pattern: str) -> bool:
    name, expected = host.lower().rstrip("."), pattern.lower()
    return name.endswith(expected[1:]) if expected.startswith("*.") else name == expected
