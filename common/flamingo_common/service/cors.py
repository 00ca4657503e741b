"""Let pages of other origins call this server from a browser; off unless origins are named.

No cookie and no stored password ever plays a part, so `*` is as safe as a server
that anybody can reach: a page has to bring its own key.
"""

from collections.abc import Collection

from aiohttp import hdrs, web
from multidict import CIMultiDict

from flamingo_common.service.http import Handler

ANY = "*"
METHODS = "GET, HEAD, POST, OPTIONS"
MAX_AGE_S = 7200
"""As long as Chromium remembers an answer at most."""
EXPOSED = (
    "openai-processing-ms, openai-version, retry-after, retry-after-ms, x-request-id,"
    " x-should-retry"
)
"""What a page's script, and the client inside it, may read beside the body."""


def add_to(app: web.Application, origins: Collection[str]) -> None:
    """Answer preflights, and name the origin in every answer, where it is one of `origins`."""
    if not origins:
        return

    @web.middleware
    async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_asked = hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if request.method != hdrs.METH_OPTIONS or not is_asked:
            return await handler(request)
        return web.Response(status=204, headers=_permission(request))

    async def tell(request: web.Request, response: web.StreamResponse) -> None:
        response.headers[hdrs.VARY] = hdrs.ORIGIN
        origin = request.headers.get(hdrs.ORIGIN)
        if origin and (ANY in origins or origin in origins):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED

    # Outermost: a browser's preflight brings no key, and what refuses a request says so to it.
    app.middlewares.insert(0, preflight)
    app.on_response_prepare.append(tell)


def _permission(request: web.Request) -> CIMultiDict[str]:
    """Allow every header that is asked for: OpenAI's clients send a dozen `x-stainless-…`."""
    headers = CIMultiDict({hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS})
    headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(MAX_AGE_S)
    if asked := request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS):
        headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = asked
    return headers
