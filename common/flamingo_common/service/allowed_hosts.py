"""Which names a server without API keys may be called by, on a loopback address.

There the operating system keeps other machines away, but not the web pages in a browser on this
one: a page can have its own name point to 127.0.0.1 (DNS rebinding), and the browser then sends
the page's requests to the server, and lets it read the responses. Such a request has the name in
`Host`. Addresses, and names that only this machine or its network resolves, cannot be a page's.

Source: https://github.com/ollama/ollama (`allowedHostsMiddleware`), and `allowedHosts` of Vite.
"""

from collections.abc import Collection
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_common.service import http, printable

LOCAL_DOMAINS = (".localhost", ".local", ".internal", ".home.arpa", ".svc", ".svc.cluster.local")
"""Their names are not in the public DNS: RFC 6761, 6762, 8375, ICANN's `.internal`, Kubernetes."""
MAX_SHOWN_CHARACTERS = 100


def add_to(app: web.Application, allowed: Collection[str]) -> None:
    """Refuse requests on a loopback address by a public name that is not `allowed`."""
    names = frozenset(name.lower().rstrip(".") for name in allowed)

    @web.middleware
    async def check(request: web.Request, handler: http.Handler) -> web.StreamResponse:
        host = request.headers.get(hdrs.HOST, "")
        if not is_allowed(host, names) and _is_on_loopback(request):
            shown = printable.escape_line(host[:MAX_SHOWN_CHARACTERS])
            raise errors.HostNotAllowed(
                f"this server has no API keys and may not be called by the name {shown!r};"
                " call it by localhost or by its address, or add the name to --allowed-hosts"
            )
        return await handler(request)

    app.middlewares.append(check)


def is_allowed(host: str, allowed: Collection[str]) -> bool:
    """Return whether a `Host` header has no name, a local one, or one of `allowed`."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:  # such as an open bracket
        return False
    is_local = "." not in name or name.endswith(LOCAL_DOMAINS) or _is_address(name)
    return is_local or name in allowed


def _is_on_loopback(request: web.Request) -> bool:
    """Return whether the client has connected to a loopback address."""
    local = request.get_extra_info("sockname")
    if not isinstance(local, tuple):  # the connection is gone
        return True
    address = ip_address(str(local[0]).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _is_address(name: str) -> bool:
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
