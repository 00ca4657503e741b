"""The router's routes, and what runs beside them."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Coroutine, Iterator

import aiohttp
from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_common.service import auth, cors, docs, exposition, http, page
from flamingo_common.service.keys import Key
from flamingo_common.wire import routes
from flamingo_router.balancing import cost
from flamingo_router.balancing.balancer import Balancer, Bounds, Dice
from flamingo_router.balancing.fleet import Fleet
from flamingo_router.balancing.fleet_report import fleet_report
from flamingo_router.balancing.policy import POLICIES
from flamingo_router.balancing.quota import Quotas
from flamingo_router.metrics import Metrics
from flamingo_router.pods import discovery, kube, load_polling
from flamingo_router.pods.discovery import Membership
from flamingo_router.pods.endpoint_slices import Service
from flamingo_router.pods.pod_key import PodKey
from flamingo_router.pods.sockets import Sockets
from flamingo_router.relay.admission import Lobby
from flamingo_router.relay.dispatch import Dispatcher
from flamingo_router.relay.drain import Gate
from flamingo_router.request.body import Limits
from flamingo_router.request.spool import Spool
from flamingo_router.request.url_probe import UrlProbe
from flamingo_router.settings import Settings, parse_host_port

SETTINGS = web.AppKey("settings", Settings)
BALANCER = web.AppKey("balancer", Balancer)
METRICS = web.AppKey("metrics", Metrics)
POD_KEY = web.AppKey("pod_key", PodKey)
GATE = web.AppKey("gate", Gate)
QUOTAS = web.AppKey("quotas", Quotas)
DISPATCHER = web.AppKey("dispatcher", Dispatcher)
ENDPOINT_HEADER = "x-flamingo-endpoint"
MAX_CONNECTIONS = 4096
POOL_S = 15.0
"""Idle connections are closed by us, well before a pod does: none breaks under a request."""


def create(settings: Settings) -> web.Application:
    """Return the router as an application; `app[GATE].shut` drains it."""
    app = http.create_app(max_body_bytes=settings.max_body_bytes)
    balancer = _balancer(settings)
    app[SETTINGS], app[BALANCER] = settings, balancer
    app[METRICS], app[GATE] = Metrics(balancer), Gate()
    app[POD_KEY], app[QUOTAS] = (
        PodKey(settings.pod_key, settings.pod_key_file),
        Quotas(settings.quota_share),
    )
    app.middlewares.append(_count)
    app.on_response_prepare.append(_add_headers)
    app.cleanup_ctx.append(_relaying)
    app.add_routes(_routes())
    exposition.add_to(app, app[METRICS].registry)
    page.add_to(app)
    docs.add_to(app, routes.ROUTER)
    cors.add_to(app, settings.cors_origin)
    auth.add_to(app, settings.key_file)
    return app


def _routes() -> list[web.RouteDef]:
    work = [web.post(path, _work, expect_handler=_leave_to_body) for path in sorted(cost.SHAPES)]
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


def _balancer(settings: Settings) -> Balancer:
    fleet = Fleet(
        stale_after_s=settings.stale_after_s, unreachable_after_s=settings.unreachable_after_s
    )
    bounds = Bounds(
        max_backlog_s=settings.max_backlog_s,
        queue_threshold_s=settings.queue_threshold_s,
        max_queued=settings.max_queued,
        max_queued_audio_s=settings.max_queued_audio_s,
        max_wait_s=settings.max_wait_s,
        cold_start_hold_s=settings.cold_start_hold_s,
    )
    dice = Dice(random.random, random.sample)
    chosen_by = POLICIES[settings.policy]()
    return Balancer(fleet, chosen_by, bounds, dice, now_s=time.monotonic())


async def _relaying(app: web.Application) -> AsyncIterator[None]:
    """Keep what runs beside the requests as long as the app runs."""
    settings, lobby = app[SETTINGS], Lobby(app[BALANCER], beat_s=app[SETTINGS].heartbeat_interval_s)
    pace = load_polling.Pace(settings.poll_interval_s, settings.stale_after_s, app[POD_KEY])
    sockets = Sockets()
    urls = UrlProbe(settings.probe_allowed_networks, settings.probe_allowed_hosts)
    async with _session(settings, sockets) as session, asyncio.TaskGroup() as beside:
        app[DISPATCHER] = Dispatcher(
            lobby,
            session,
            app[METRICS],
            _limits(settings),
            quotas=app[QUOTAS],
            urls=urls if settings.probe_urls else None,
        )
        polls = load_polling.Polls(lobby, session, pace, on_silent=sockets.cut)

        def on_change(members: dict[str, bool]) -> None:
            lobby.balancer.reconcile(members)
            polls.follow(beside)

        tasks = [
            beside.create_task(each)
            for each in (lobby.keep_pumping(), *_sources(settings, session, Membership(on_change)))
        ]
        if (key_file := app[POD_KEY].file) is not None:
            tasks.append(beside.create_task(key_file.watch()))
        yield
        for task in tasks:
            task.cancel()
        polls.stop()
        await urls.close()


def _sources(
    settings: Settings, session: aiohttp.ClientSession, membership: Membership
) -> Iterator[Coroutine[None, None, None]]:
    """Say what is given once; yield what keeps looking for pods."""
    membership.update("given", dict.fromkeys(settings.endpoint, True))
    if settings.dns:
        yield discovery.keep_resolving(membership, *parse_host_port(settings.dns))
    if settings.endpointslice:
        access = kube.Access.of(settings.kube_api, settings.kube_token_file, settings.kube_ca_file)
        service = Service.parse(settings.endpointslice)
        resource = discovery.endpoint_slices(access, session, service)
        yield discovery.keep_watching(membership, service, resource, discovery.WatchTimeouts())


def _limits(settings: Settings) -> Limits:
    return Limits(
        settings.max_body_bytes,
        settings.replay_buffer_bytes,
        settings.body_idle_timeout_s,
        Spool(settings.spool_dir, settings.spool_max_bytes),
    )


def _session(settings: Settings, sockets: Sockets) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS, keepalive_timeout=POOL_S, socket_factory=sockets.make
        ),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


async def _work(request: web.Request) -> web.StreamResponse:
    with _within_quota(request.app[QUOTAS], auth.caller(request)):
        return await _dispatch(request)


@contextlib.contextmanager
def _within_quota(quotas: Quotas, key: Key | None) -> Iterator[None]:
    if key is None:
        yield
        return
    quotas.enter(key, now_s=time.monotonic())
    try:
        yield
    finally:
        quotas.leave(key.name)


async def _dispatch(request: web.Request) -> web.StreamResponse:
    with request.app[GATE].admitted():
        return await request.app[DISPATCHER].dispatch(request)


async def _leave_to_body(_: web.Request) -> None:
    """Say `100 Continue` when the body is read, not before it is known that it will be."""


async def _ready(request: web.Request) -> web.Response:
    fleet = request.app[BALANCER].fleet
    endpoints = fleet.endpoints(now_s=time.monotonic())
    num_ready = sum(endpoint.is_ready for endpoint in endpoints)
    is_shut = request.app[GATE].is_shut
    status = "draining" if is_shut else "ready" if num_ready else "no_endpoint_ready"
    return http.json_response(
        {"status": status, "ready": num_ready, "endpoints": len(endpoints)},
        status=200 if status == "ready" else errors.Unavailable.status,
    )


async def _live(_: web.Request) -> web.Response:
    return http.json_response({"status": "live"})


async def _fleet(request: web.Request) -> web.Response:
    report = fleet_report(request.app[BALANCER], now_s=time.monotonic())
    return http.json_response(report)


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
    if (key := auth.caller(request)) is not None:
        response.headers.update(request.app[QUOTAS].headers(key.name))
    if request.app[GATE].is_shut:  # the next request on this connection would find nobody
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"
    if request.app[SETTINGS].expose_endpoint and "endpoint" in request.get(http.LOG_FIELDS, {}):
        response.headers[ENDPOINT_HEADER] = str(request[http.LOG_FIELDS]["endpoint"])
