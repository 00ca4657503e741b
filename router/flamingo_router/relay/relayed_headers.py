"""The headers of a relayed request and of its response: those that concern both ends."""

from aiohttp import hdrs, web
from multidict import CIMultiDict, MultiMapping

from flamingo_common.service import client_address, http, traces
from flamingo_common.wire import REQUEST_ID_HEADER

HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to one connection (RFC 9110 §7.6.1)."""
NO_AUTO_HEADERS = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT)
"""Headers that aiohttp would add to a request that has none of them."""


def to_upstream(request: web.Request) -> CIMultiDict[str]:
    """Return the headers of a client's request, with what the upstream has to know about it."""
    headers = _end_to_end(request.headers)
    headers[REQUEST_ID_HEADER] = request[http.REQUEST_ID]
    if client := request[http.CLIENT]:
        headers[hdrs.X_FORWARDED_FOR] = client
        headers[hdrs.FORWARDED] = client_address.forwarded_element(client)
    traces.current_span().inject(headers)
    return headers


def to_client(upstream: MultiMapping[str]) -> CIMultiDict[str]:
    """Return the headers of an upstream's response."""
    headers = _end_to_end(upstream)
    headers.popall(REQUEST_ID_HEADER, None)  # this router sets its own, which is in its log
    return headers


def _end_to_end(headers: MultiMapping[str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get(hdrs.CONNECTION, "").split(",")}
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if (lower := name.lower()) not in HOP_BY_HOP and lower not in named
    )
