"""Who may call which route: API keys at the door.

Denied by default. A route is known by what matched it, never by the text of the
URL: `//v1`, `%2e` and a Host header cannot lead past. Without a key file all may.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_common.service import http, keys
from flamingo_common.service.keys import Key, Keyring, Permission
from flamingo_common.service.reloading_file import ReloadingFile

PUBLIC = frozenset(
    {
        "/",
        "/docs",
        "/docs/",
        "/docs/{name}",
        "/health/live",
        "/health/ready",
        "/openapi.json",
        "/ui",
        "/ui/",
        "/ui/features.json",
        "/ui/{name}",
        "/version",
    }
)
"""Probes, and files that are the same for everybody: there is no secret in them."""
OBSERVING = frozenset({"/fleet", "/health", "/metrics", "/stats"})
"""Routes that tell how the fleet does, and with it of other people's work."""
CALLER = web.RequestKey("caller", Key)
_KEYS = web.AppKey("keys", ReloadingFile[Keyring])
_REFUSAL = "a valid API key is needed: Authorization: Bearer KEY"
"""The same for none, a wrong one and a withdrawn one."""


def add_to(app: web.Application, key_file: Path | None) -> None:
    """Ask for a key on all routes but `PUBLIC`; without a file, on none.

    To be called last, so that refusals too pass through what counts and logs requests.

    Raises:
        OSError, InvalidKeyFile: the file cannot be read; cannot be used.
    """
    if key_file is None:
        return
    app[_KEYS] = ReloadingFile(key_file, keys.parse)
    app.middlewares.append(_admit)
    app.cleanup_ctx.append(_watch_key_file)


def caller(request: web.Request) -> Key | None:
    """Return whose request it is; None when no keys are asked for."""
    return request.get(CALLER)


@web.middleware
async def _admit(request: web.Request, handler: http.Handler) -> web.StreamResponse:
    resource = request.match_info.route.resource
    route = resource.canonical if resource else None
    if route not in PUBLIC:
        key = _holder(request)
        request[http.LOG_FIELDS]["key"] = key.name
        _check(key, "observe" if route in OBSERVING else "infer")
        request[CALLER] = key
    return await handler(request)


def _holder(request: web.Request) -> Key:
    scheme, _, presented = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    ring = request.app[_KEYS].value
    # Other schemes take the same way, so that they take the same time.
    key = ring.find(presented.strip().encode("utf-8", "surrogateescape"))
    if key is None or scheme.lower() != "bearer":
        raise errors.InvalidApiKey(_REFUSAL)
    return key


def _check(key: Key, needed: Permission) -> None:
    if needed not in key.may:
        raise errors.PermissionDenied(f"the key {key.name!r} may not {needed}")


async def _watch_key_file(app: web.Application) -> AsyncIterator[None]:
    watching = asyncio.create_task(app[_KEYS].watch(), name="keys")
    yield
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
