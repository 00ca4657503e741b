"""The router's application: its routes, and the tasks that run beside the requests."""

import asyncio
import contextlib
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator

import aiohttp
from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_common.service import auth, content_coding, cors, docs, exposition, http, page
from flamingo_common.service.drain_gate import DrainGate
from flamingo_common.service.keys import Key
from flamingo_common.service.sent_key import SentKey
from flamingo_common.wire import routes
from flamingo_common.wire.batch_routes import FILES_AND_BATCHES
from flamingo_router.balancing import cost
from flamingo_router.balancing.admission_limits import AdmissionLimits
from flamingo_router.balancing.balancer import Balancer
from flamingo_router.balancing.fleet import Fleet
from flamingo_router.balancing.fleet_report import fleet_report
from flamingo_router.balancing.open_uploads import OpenUploads
from flamingo_router.balancing.policy import POLICIES
from flamingo_router.balancing.quota import Quotas
from flamingo_router.metrics import Metrics
from flamingo_router.pods import discovery, kube, quota_exchange
from flamingo_router.pods.discovery import Membership
from flamingo_router.pods.endpoint_slices import Service
from flamingo_router.pods.lag_task import keep_measuring
from flamingo_router.pods.load_polling import REFUSAL_HINTS, LoadPoller, PollOptions
from flamingo_router.pods.quota_exchange import QuotaExchange
from flamingo_router.pods.sockets import PodConnector
from flamingo_router.relay.admission import AdmissionQueue
from flamingo_router.relay.dispatch import Dispatcher
from flamingo_router.relay.forward import BatchesForwarder
from flamingo_router.request.body import BodyLimits
from flamingo_router.request.spool import Spool
from flamingo_router.request.url_probe import UrlProbe
from flamingo_router.settings import Settings, parse_host_port

SETTINGS = web.AppKey("settings", Settings)
BALANCER = web.AppKey("balancer", Balancer)
METRICS = web.AppKey("metrics", Metrics)
POD_KEY = web.AppKey("pod_key", SentKey)
DRAIN_GATE = web.AppKey("drain_gate", DrainGate)
QUOTAS = web.AppKey("quotas", Quotas)
DISPATCHER = web.AppKey("dispatcher", Dispatcher)
FORWARDER = web.AppKey("forwarder", BatchesForwarder)
ENDPOINT_HEADER = "x-flamingo-endpoint"


def create(settings: Settings) -> web.Application:
    """Return the router as an application; `app[DRAIN_GATE].close` drains it."""
    app = http.create_app(
        max_body_bytes=settings.max_body_bytes, trusted_proxies=settings.trusted_proxies
    )
    balancer = _balancer(settings)
    app[SETTINGS], app[BALANCER] = settings, balancer
    app[QUOTAS] = Quotas(settings.quota_share, epoch=uuid.uuid4().hex[:8])
    app[METRICS], app[DRAIN_GATE] = Metrics(balancer, app[QUOTAS]), DrainGate()
    app[POD_KEY] = SentKey(settings.pod_key, settings.pod_key_file)
    app.middlewares.append(_count_request)
    app.on_response_prepare.append(_add_headers)
    app.cleanup_ctx.append(_run_tasks)
    app.add_routes(_routes())
    exposition.add_to(app, app[METRICS].registry, before_scrape=app[METRICS].refresh)
    page.add_to(app, has_batches=bool(settings.batches_url))
    docs.add_to(app, routes.ROUTER)
    cors.add_to(app, settings.cors_origin)
    auth.add_to(app, settings.key_file, settings.allowed_hosts)
    content_coding.add_to(app)
    return app


def _routes() -> list[web.RouteDef]:
    paths = sorted(cost.ROUTE_PROFILES)
    return [
        *(web.post(path, _handle_work, expect_handler=_continue_later) for path in paths),
        web.get("/v1/models", _dispatch, expect_handler=_continue_later),
        web.get("/v1/models/{id:.+}", _dispatch, expect_handler=_continue_later),
        web.get("/v1/recipes", _dispatch, expect_handler=_continue_later),
        web.get("/health", _handle_ready),
        web.get("/health/ready", _handle_ready),
        web.get("/health/live", _handle_live),
        *(web.route(each.method, each.path, _forward) for each in FILES_AND_BATCHES),
        web.get("/fleet", _handle_fleet),
        web.get("/stats", _handle_fleet),
        web.get(quota_exchange.PATH, _handle_quotas),
    ]


def _balancer(settings: Settings) -> Balancer:
    fleet = Fleet(
        stale_after_s=settings.stale_after_s, unreachable_after_s=settings.unreachable_after_s
    )
    limits = AdmissionLimits(
        max_backlog_s=settings.max_backlog_s,
        queue_threshold_s=settings.queue_threshold_s,
        max_queued=settings.max_queued,
        max_queued_audio_s=settings.max_queued_audio_s,
        max_wait_s=settings.max_wait_s,
        assumed_deadline_s=settings.assumed_deadline_s,
        cold_start_hold_s=settings.cold_start_hold_s,
    )
    policy = POLICIES[settings.policy]()
    rng = random.Random()  # noqa: S311 - not used for secrets
    return Balancer(fleet, policy, limits, rng, now_s=time.monotonic())


async def _run_tasks(app: web.Application) -> AsyncIterator[None]:
    """Run discovery, polling and dispatching for as long as the application runs."""
    settings = app[SETTINGS]
    queue = AdmissionQueue(app[BALANCER], heartbeat_interval_s=settings.heartbeat_interval_s)
    lag = app[BALANCER].fleet.lag
    connector = PodConnector(lag)
    async with (
        _url_probe(settings) as urls,
        _session(settings, connector) as session,
        _forwarder(app),
        asyncio.TaskGroup() as group,
    ):
        dispatcher = app[DISPATCHER] = _dispatcher(app, queue, session, urls)
        options = PollOptions(settings.poll_interval_s, settings.stale_after_s, app[POD_KEY])

        def on_unreachable(address: str) -> None:
            dispatcher.cover_loss_of(address)
            connector.abort_all(address)

        poller = LoadPoller(queue, session, options, on_unreachable=on_unreachable)

        def on_change(members: dict[str, bool]) -> None:
            queue.balancer.set_members(members)
            poller.update_members(group)

        sources = (
            *_sources(settings, session, Membership(on_change)),
            *_peers(settings, session, QuotaExchange(app[QUOTAS], session, options)),
        )
        running = (queue.keep_dispatching(), keep_measuring(lag), *sources)
        tasks = [group.create_task(each) for each in running]
        if (key_file := app[POD_KEY].file) is not None:
            tasks.append(group.create_task(key_file.watch()))
        yield
        for task in tasks:
            task.cancel()
        poller.stop()


@contextlib.asynccontextmanager
async def _forwarder(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    forwarder = BatchesForwarder(settings.batches_url, connect_timeout_s=settings.connect_timeout_s)
    app[FORWARDER] = forwarder
    try:
        yield
    finally:
        await forwarder.close()


@contextlib.asynccontextmanager
async def _url_probe(settings: Settings) -> AsyncIterator[UrlProbe | None]:
    if not settings.probe_urls:
        yield None
        return
    urls = UrlProbe(settings.probe_allowed_networks, settings.probe_allowed_hosts)
    try:
        yield urls
    finally:
        await urls.close()


def _dispatcher(
    app: web.Application,
    queue: AdmissionQueue,
    session: aiohttp.ClientSession,
    urls: UrlProbe | None,
) -> Dispatcher:
    settings = app[SETTINGS]
    limits = BodyLimits(
        settings.max_body_bytes,
        settings.replay_buffer_bytes,
        settings.body_idle_timeout_s,
        Spool(settings.spool_dir, settings.spool_max_bytes),
    )
    uploads = OpenUploads(settings.max_slow_uploads_per_client)
    return Dispatcher(
        queue, session, app[METRICS], limits, quotas=app[QUOTAS], uploads=uploads, urls=urls
    )


def _sources(
    settings: Settings, session: aiohttp.ClientSession, membership: Membership
) -> Iterator[Coroutine[None, None, None]]:
    """Report the configured endpoints; yield the tasks that discover others."""
    membership.update("settings", dict.fromkeys(settings.endpoint, True))
    if settings.dns:
        yield discovery.keep_resolving(membership, *parse_host_port(settings.dns))
    if settings.endpointslice:
        yield _watch(settings, session, settings.endpointslice, membership)


def _peers(
    settings: Settings, session: aiohttp.ClientSession, exchange: QuotaExchange
) -> Iterator[Coroutine[None, None, None]]:
    """Yield the tasks that share the limits of keys with the other routers."""
    if not settings.quota_peers:
        return
    membership = Membership(
        lambda members: exchange.set_members([one for one, is_open in members.items() if is_open])
    )
    if addresses := settings.quota_peer_addresses:
        membership.update("settings", dict.fromkeys(addresses, True))
    else:
        yield _watch(settings, session, settings.quota_peers, membership)
    yield exchange.keep_exchanging()


def _watch(
    settings: Settings, session: aiohttp.ClientSession, name: str, membership: Membership
) -> Coroutine[None, None, None]:
    access = kube.Access.from_settings(
        settings.kube_api, settings.kube_token_file, settings.kube_ca_file
    )
    service = Service.parse(name)
    resource = discovery.endpoint_slices(access, session, service)
    return discovery.keep_watching(membership, service, resource, discovery.WatchTimeouts())


def _session(settings: Settings, connector: PodConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    )


async def _handle_work(request: web.Request) -> web.StreamResponse:
    with _within_quota(request.app[QUOTAS], auth.caller(request)):
        return await _dispatch(request)


@contextlib.contextmanager
def _within_quota(quotas: Quotas, key: Key | None) -> Iterator[None]:
    if key is None:
        yield
        return
    quotas.admit(key, now_s=time.monotonic())
    try:
        yield
    finally:
        quotas.release(key.name)


async def _dispatch(request: web.Request) -> web.StreamResponse:
    with request.app[DRAIN_GATE].admitted():
        return await request.app[DISPATCHER].dispatch(request)


async def _forward(request: web.Request) -> web.StreamResponse:
    with request.app[DRAIN_GATE].admitted():
        return await request.app[FORWARDER].forward(request)


async def _continue_later(_: web.Request) -> None:
    """Leave `100 Continue` to `Body`, which sends it when the request is admitted."""


async def _handle_ready(request: web.Request) -> web.Response:
    fleet = request.app[BALANCER].fleet
    endpoints = fleet.endpoints(now_s=time.monotonic())
    num_ready = sum(endpoint.is_ready for endpoint in endpoints)
    is_draining = request.app[DRAIN_GATE].is_closed
    status = "draining" if is_draining else "ready" if num_ready else "no_endpoint_ready"
    refused = [each.reason for each in endpoints if each.reason in REFUSAL_HINTS]
    why = {"hint": REFUSAL_HINTS[refused[0]]} | Counter(refused) if refused else {}
    return http.json_response(
        {"status": status, "ready": num_ready, "endpoints": len(endpoints)} | why,
        status=200 if status == "ready" else errors.Unavailable.status,
    )


async def _handle_live(_: web.Request) -> web.Response:
    return http.json_response({"status": "live"})


async def _handle_quotas(request: web.Request) -> web.Response:
    return http.json_response(request.app[QUOTAS].report())


async def _handle_fleet(request: web.Request) -> web.Response:
    report = fleet_report(request.app[BALANCER], now_s=time.monotonic())
    return http.json_response(report)


@web.middleware
async def _count_request(request: web.Request, handler: http.Handler) -> web.StreamResponse:
    status, code, source = 499, None, "router"  # the client disconnected
    try:
        response = await handler(request)
        status = response.status
        code, source = _error_of(request, response)
    except errors.FlamingoError as error:
        status, code = error.status, error.code
        raise
    except web.HTTPException as error:
        status, code = error.status, errors.from_response(error.status, b"").code
        raise
    except ConnectionResetError:
        raise
    except Exception:
        status, code = errors.InternalError.status, errors.InternalError.code
        raise
    finally:
        resource = request.match_info.route.resource
        route = resource.canonical if resource else "other"
        metrics = request.app[METRICS]
        metrics.requests.labels(route, status).inc()
        if code is not None:
            metrics.errors.labels(code, source).inc()
    return response


def _error_of(request: web.Request, response: web.StreamResponse) -> tuple[str | None, str]:
    """Return the code of the error that a response carries, if it does, and whose it is."""
    fields = request[http.LOG_FIELDS]
    if "error" in fields:
        return str(fields["error"]), "pod" if "status_in_stream" in fields else "router"
    is_error = response.status >= errors.BadRequest.status and "endpoint" in fields
    if is_error and isinstance(response, web.Response) and isinstance(response.body, bytes):
        return errors.from_response(response.status, response.body).code, "pod"
    return None, "router"


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    if (key := auth.caller(request)) is not None:
        response.headers.update(request.app[QUOTAS].headers(key.name))
    if request.app[DRAIN_GATE].is_closed:  # the client's next request needs another router
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"
    fields = request.get(http.LOG_FIELDS, {})
    if request.app[SETTINGS].expose_endpoint and "endpoint" in fields:
        response.headers[ENDPOINT_HEADER] = str(fields["endpoint"])
