"""Authentication by API key, and the permission that each route requires.

Access is denied by default. The check uses the route that matched, never the text of the
URL, so `//v1`, `%2e` or a Host header cannot bypass it. Without a key file, every request
is allowed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_common.service import allowed_hosts, http, keys
from flamingo_common.service.keys import Key, Keyring, Permission
from flamingo_common.service.reloading_file import ReloadingFile

PUBLIC_ROUTES = frozenset(
    {
        "/",
        "/docs",
        "/docs/",
        "/docs/{name}",
        "/health",
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
"""Routes without authentication: health checks, and static files without secrets."""
OBSERVER_ROUTES = frozenset({"/fleet", "/metrics", "/quotas", "/stats"})
"""Routes that need the permission `observe`: they show the load of all callers."""
CALLER = web.RequestKey("caller", Key)
_KEYS = web.AppKey("keys", ReloadingFile[Keyring])
_UNAUTHENTICATED = "a valid API key is required, in the header Authorization: Bearer KEY"
"""The same for a missing, a wrong and a revoked key."""


def add_to(app: web.Application, key_file: Path | None, hosts: Collection[str] = ()) -> None:
    """Require an API key on all routes but `PUBLIC_ROUTES`.

    Without a `key_file` none is required, and on loopback addresses the public names in the
    header `Host` are refused that are not in `hosts`.

    Call it last, so that rejected requests pass through the middlewares for metrics and logs.

    Raises:
        OSError: the file cannot be read.
        InvalidKeyFile: its content is invalid.
    """
    if key_file is None:
        allowed_hosts.add_to(app, hosts)
        return
    app[_KEYS] = ReloadingFile(key_file, keys.parse)
    app.middlewares.append(_authenticate)
    app.cleanup_ctx.append(_watch_key_file)


def caller(request: web.Request) -> Key | None:
    """Return the key of an authenticated request; None if no keys are required."""
    return request.get(CALLER)


@web.middleware
async def _authenticate(request: web.Request, handler: http.Handler) -> web.StreamResponse:
    resource = request.match_info.route.resource
    route = resource.canonical if resource else None
    if route not in PUBLIC_ROUTES:
        key = _presented_key(request)
        request[http.LOG_FIELDS]["key"] = key.name
        _require(key, "observe" if route in OBSERVER_ROUTES else "infer")
        request[CALLER] = key
    return await handler(request)


def _presented_key(request: web.Request) -> Key:
    scheme, _, presented = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    # Other schemes are looked up too, so that they take the same time.
    key = request.app[_KEYS].value.find(presented.strip().encode("utf-8", "surrogateescape"))
    if key is None or scheme.lower() != "bearer":
        raise errors.InvalidApiKey(_UNAUTHENTICATED)
    return key


def _require(key: Key, permission: Permission) -> None:
    if permission not in key.may:
        raise errors.PermissionDenied(f"the key {key.name!r} lacks the permission {permission!r}")


async def _watch_key_file(app: web.Application) -> AsyncIterator[None]:
    watching = asyncio.create_task(app[_KEYS].watch(), name="keys")
    yield
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
