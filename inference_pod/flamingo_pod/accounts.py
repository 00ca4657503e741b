"""Each request's account: opened when it comes, and when it is over counted and told the router."""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from flamingo.service import http
from flamingo.wire.report import CLIP_HEADER
from flamingo_pod.engine.account import Account
from flamingo_pod.pod import Pod

ACCOUNT = web.RequestKey("account", Account)
Story = Callable[[Pod, web.Request], Awaitable[web.StreamResponse]]
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def kept(pod: Pod, story: Story) -> http.Handler:
    """Return `story` as a handler that keeps an account of each request."""

    async def handler(request: web.Request) -> web.StreamResponse:
        account = request[ACCOUNT] = Account(route=request.path, clip=_clip(request))
        with pod.metrics.request(request.path) as outcome:
            response = await story(pod, request)
            outcome.status = response.status
        if "error" not in request[http.FACTS]:
            pod.timings.add(account)
        return response

    return handler


def _clip(request: web.Request) -> str:
    """Return the router's name for the request's clip; what is no name is none."""
    given = request.headers.get(CLIP_HEADER, "")
    return given if _NAME.fullmatch(given) else ""
