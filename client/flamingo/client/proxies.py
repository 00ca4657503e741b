"""Which proxy a request goes through, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

The rules are those of OpenAI's client and curl, with one difference: requests to this machine
(localhost, 127.0.0.1, ::1) never go through a proxy, which could not reach a local fleet.

Pure.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from flamingo_common import numerals
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable, urls
from flamingo_common.service.comma_list import split_commas

_DEFAULT_PORTS = {"http": 80, "https": 443}
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Proxy:
    """A proxy."""

    url: str
    """With its credentials."""
    variable: str
    """The environment variable that names it."""

    @property
    def display_url(self) -> str:
        """The URL without credentials."""
        return urls.redact_url(self.url)


@dataclass(frozen=True)
class ProxySettings:
    """The environment variables on proxies."""

    proxies: Mapping[str, Proxy]
    """By the scheme of the requests; `all` is for those without one."""
    exceptions: tuple[str, ...]
    """The entries of NO_PROXY."""

    def proxy_for(self, url: str) -> Proxy | None:
        """Return the proxy for a request to `url`; None: connect directly.

        Raises:
            BadRequest: the variable is not a URL of an HTTP proxy.
        """
        parts = urlsplit(url)
        proxy = self.proxies.get(parts.scheme) or self.proxies.get("all")
        if proxy is None or self._is_excepted(parts):
            return None
        _check(proxy)
        return proxy

    def _is_excepted(self, parts: SplitResult) -> bool:
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
        return _is_this_machine(host) or any(
            _matches(entry, parts.scheme, host, port) for entry in self.exceptions
        )


@dataclass(frozen=True)
class Route:
    """A fleet, and the proxy on the way to it."""

    root: str
    proxy: Proxy | None

    def __str__(self) -> str:
        """Return both as messages name them, without credentials."""
        if self.proxy is None:
            return self.root
        return f"{self.root} (through the proxy {self.proxy.display_url})"


def read_settings(environ: Mapping[str, str]) -> ProxySettings:
    """Return the settings in `environ`; a name in lower case is preferred."""
    proxies = {}
    for scheme in ("http", "https", "all"):
        name = f"{scheme}_proxy"
        if name not in environ and name.upper() in environ:
            # In a CGI process, HTTP_PROXY is a header of the request: httpoxy.org.
            name = "" if scheme == "http" and "REQUEST_METHOD" in environ else name.upper()
        if text := environ.get(name, "").strip():
            proxies[scheme] = Proxy(text if "://" in text else f"http://{text}", name)
    exceptions = environ.get("no_proxy", environ.get("NO_PROXY", ""))
    return ProxySettings(proxies, split_commas(",".join(exceptions.split())))


def _check(proxy: Proxy) -> None:
    """Refuse what is not the URL of an HTTP proxy."""
    shown = f"{proxy.variable}: {printable.escape_line(proxy.display_url)!r}"
    if proxy.url.lower().startswith("socks"):
        raise BadRequest(
            f"{shown} is a SOCKS proxy, which this client does not support; set it to an HTTP"
            " proxy, or add the host to NO_PROXY"
        )
    try:
        parts = urlsplit(proxy.url)
        is_valid = parts.scheme in _DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid or not proxy.url.isprintable() or " " in proxy.url:
        raise BadRequest(
            f"{shown} is not a valid proxy URL; expected a form like http://proxy.example:3128"
        )


def _is_this_machine(host: str) -> bool:
    ip = _parse_ip(host)
    if ip is None:
        return host == "localhost" or host.endswith(".localhost")
    return ip.is_loopback or ip.is_unspecified


def _matches(entry: str, scheme: str, host: str, port: int | None) -> bool:
    """Return whether an entry of NO_PROXY is about this server.

    An entry is `*`, a domain (which includes its subdomains), an IP address or a network, each
    optionally with a scheme and a port.
    """
    entry_scheme, separator, rest = entry.lower().rpartition("://")
    if separator and entry_scheme not in {scheme, "all"}:
        return False
    pattern, entry_port = _split_port(rest)
    if entry_port is not None and entry_port != port:
        return False
    if pattern == "*":
        return True
    ip = _parse_ip(host)
    if ip is not None:
        return _contains(pattern, ip)
    domain = pattern.removeprefix("*").removeprefix(".").rstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _split_port(entry: str) -> tuple[str, int | None]:
    start, separator, end = entry.rpartition(":")
    is_address = ":" in start and not start.endswith("]")  # an IPv6 address without brackets
    port = numerals.whole(end)
    if not separator or is_address or port is None:
        return entry.strip("[]"), None
    return start.strip("[]"), port


def _contains(pattern: str, ip: IpAddress) -> bool:
    try:
        return ip in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False


def _parse_ip(host: str) -> IpAddress | None:
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip
