"""CORS: lets web pages of other origins call this server; off unless origins are configured.

Credentials are never allowed, so `*` is as safe as a publicly reachable server: a page
must send its own API key.
"""

from collections.abc import Collection

from aiohttp import hdrs, web
from multidict import CIMultiDict

from flamingo_common.service.http import Handler

ANY = "*"
METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
MAX_AGE_S = 7200
"""Chromium's maximum."""
EXPOSED = ", ".join(
    (
        "openai-processing-ms",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "x-flamingo-audio-id",
        "x-flamingo-audio-missing-seconds",
        "x-flamingo-audio-seconds",
        "x-flamingo-endpoint",
        "x-flamingo-truncated-seconds",
        *(
            f"x-ratelimit-{what}-{kind}"
            for what in ("limit", "remaining", "reset")
            for kind in ("requests", "audio-seconds")
        ),
        "x-request-id",
        "x-should-retry",
    )
)
"""Response headers that scripts may read."""


def add_to(app: web.Application, origins: Collection[str]) -> None:
    """Answer preflight requests, and allow responses to be read by pages of `origins`."""
    if not origins:
        return

    @web.middleware
    async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_preflight = hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if request.method != hdrs.METH_OPTIONS or not is_preflight:
            return await handler(request)
        return web.Response(status=204, headers=_preflight_headers(request))

    async def allow_origin(request: web.Request, response: web.StreamResponse) -> None:
        response.headers[hdrs.VARY] = hdrs.ORIGIN
        origin = request.headers.get(hdrs.ORIGIN)
        if origin and (ANY in origins or origin in origins):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED

    # Outermost: a preflight has no API key, and pages must be able to read errors.
    app.middlewares.insert(0, preflight)
    app.on_response_prepare.append(allow_origin)


def _preflight_headers(request: web.Request) -> CIMultiDict[str]:
    """Allow every requested header: OpenAI's clients send a dozen `x-stainless-…`."""
    headers = CIMultiDict({hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS})
    headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(MAX_AGE_S)
    if requested := request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS):
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = requested
    return headers
