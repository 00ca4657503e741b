"""The router's routes, and what runs beside them."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import hdrs, web
from aiohttp.connector import AddrInfoType

from flamingo import errors
from flamingo.service import access, cors, docs, exposition, http, page
from flamingo.wire import routes
from flamingo_router import cost, loads
from flamingo_router.body import Limits
from flamingo_router.dispatch import Dispatcher
from flamingo_router.fleet import Fleet
from flamingo_router.gate import Gate
from flamingo_router.metrics import Metrics
from flamingo_router.pod_key import PodKey
from flamingo_router.settings import Settings

SETTINGS = web.AppKey("settings", Settings)
FLEET = web.AppKey("fleet", Fleet)
METRICS = web.AppKey("metrics", Metrics)
POD_KEY = web.AppKey("pod_key", PodKey)
GATE = web.AppKey("gate", Gate)
DISPATCHER = web.AppKey("dispatcher", Dispatcher)
ENDPOINT_HEADER = "x-flamingo-endpoint"
MAX_CONNECTIONS = 4096
POOL_S = 15.0
"""Idle connections are closed by us, well before a pod does: none breaks under a request."""
KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""A node that lost its power sends no reset: this finds it in 30 s."""


def create(settings: Settings) -> web.Application:
    """Return the router as an application; `app[GATE].shut` drains it."""
    app = http.application(max_body_bytes=settings.max_body_bytes)
    fleet = Fleet(
        settings.endpoint,
        stale_after_s=settings.stale_after_s,
        lost_after_s=settings.lost_after_s,
    )
    app[POD_KEY] = PodKey(settings)
    app[SETTINGS], app[FLEET], app[METRICS], app[GATE] = settings, fleet, Metrics(fleet), Gate()
    app.middlewares.append(_count)
    app.on_response_prepare.append(_add_headers)
    app.cleanup_ctx.append(_relaying)
    app.add_routes(_routes())
    exposition.add_to(app, app[METRICS].registry)
    page.add_to(app)
    docs.add_to(app, routes.ROUTER)
    cors.add_to(app, settings.cors_origin)
    access.add_to(app, settings.key_file)
    return app


def _routes() -> list[web.RouteDef]:
    work = [
        web.post(path, _dispatch, expect_handler=_leave_to_body) for path in sorted(cost.SHAPES)
    ]
    return [
        *work,
        web.get("/v1/models", _dispatch),
        web.get("/v1/models/{id:.+}", _dispatch),
        web.get("/health", _ready),
        web.get("/health/ready", _ready),
        web.get("/health/live", _live),
        web.get("/fleet", _fleet),
        web.get("/stats", _fleet),
    ]


async def _relaying(app: web.Application) -> AsyncIterator[None]:
    """Keep the connections to the pods, and the polling of their load, as long as the app runs."""
    settings = app[SETTINGS]
    async with _session(settings) as session, asyncio.TaskGroup() as pollers:
        app[DISPATCHER] = Dispatcher(
            fleet=app[FLEET],
            session=session,
            metrics=app[METRICS],
            limits=Limits(settings.max_body_bytes, settings.max_spool_bytes, settings.body_idle_s),
            ceiling_s=settings.ceiling_s,
        )
        asking = loads.Asking(session, app[POD_KEY], settings.stale_after_s)
        tasks = [
            pollers.create_task(
                loads.keep_polling(app[FLEET], address, asking, poll_s=settings.poll_s)
            )
            for address in settings.endpoint
        ]
        if (key_file := app[POD_KEY].file) is not None:
            tasks.append(pollers.create_task(key_file.keep_fresh()))
        yield
        for task in tasks:
            task.cancel()


def _session(settings: Settings) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS, keepalive_timeout=POOL_S, socket_factory=_socket
        ),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


def _socket(info: AddrInfoType) -> socket.socket:
    family, kind, protocol, *_ = info
    connection = socket.socket(family, kind, protocol)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # macOS knows the first by another name
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return connection


async def _dispatch(request: web.Request) -> web.StreamResponse:
    with request.app[GATE].admitted():
        return await request.app[DISPATCHER].dispatch(request)


async def _leave_to_body(_: web.Request) -> None:
    """Say `100 Continue` when the body is read, not before it is known that it will be."""


async def _ready(request: web.Request) -> web.Response:
    report = request.app[FLEET].report(now_s=time.monotonic())
    num_ready = sum(endpoint.ready for endpoint in report.endpoints)
    is_shut = request.app[GATE].is_shut
    status = "draining" if is_shut else "ready" if num_ready else "no_endpoint_ready"
    return http.json_response(
        {"status": status, "ready": num_ready, "endpoints": len(report.endpoints)},
        status=200 if status == "ready" else errors.Unavailable.status,
    )


async def _live(_: web.Request) -> web.Response:
    return http.json_response({"status": "live"})


async def _fleet(request: web.Request) -> web.Response:
    now_s = time.monotonic()
    return http.json_response(request.app[FLEET].report(now_s=now_s))


@web.middleware
async def _count(request: web.Request, handler: http.Handler) -> web.StreamResponse:
    code = 499  # the client left first
    try:
        response = await handler(request)
        code = response.status
    except errors.FlamingoError as error:
        code = error.status
        raise
    except web.HTTPException as error:
        code = error.status
        raise
    except ConnectionResetError:
        raise
    except Exception:
        code = errors.InternalError.status
        raise
    finally:
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "other"
        request.app[METRICS].requests.labels(route, code).inc()
    return response


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    if request.app[GATE].is_shut:  # the next request on this connection would find nobody
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"
    if request.app[SETTINGS].tell_endpoint and "endpoint" in request.get(http.FACTS, {}):
        response.headers[ENDPOINT_HEADER] = str(request[http.FACTS]["endpoint"])
