"""The operator's process: leader election, the leader's work, and three endpoints.

`/health/live`: it makes progress. `/health/ready`: it is the leader and its watches
have synced, or it waits for the Lease. `/metrics`.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

from flamingo_common.service import auth, cors, exposition, http, logs
from flamingo_operator.cluster import kopf_events
from flamingo_operator.cluster.kube import KubeClient, load_configuration
from flamingo_operator.cluster.store import Store
from flamingo_operator.leader import Leader
from flamingo_operator.lease import Lease
from flamingo_operator.manifests.common import Release
from flamingo_operator.polling.pod_load_client import PodLoadClient
from flamingo_operator.polling.router_load_client import RouterLoadClient
from flamingo_operator.polling.router_poller import RouterPoller
from flamingo_operator.reconcile import Reconciler
from flamingo_operator.settings import Settings
from flamingo_operator.telemetry.metrics import Metrics
from flamingo_operator.work_queue import WorkQueue


@dataclass(slots=True)
class OperatorState:
    """The state of the process."""

    settings: Settings
    metrics: Metrics = field(default_factory=Metrics)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    leader: Leader | None = None
    has_failed: bool = False
    """Leadership was lost, or a bug ended it: the process exits with status 1."""


STATE = web.AppKey("state", OperatorState)


def create(settings: Settings) -> web.Application:
    """Return the operator as an application; it runs while the application does."""
    app = http.create_app(max_body_bytes=settings.max_body_bytes)
    app[STATE] = OperatorState(settings)
    app.router.add_get("/health/live", _live)
    app.router.add_get("/health/ready", _ready)
    exposition.add_to(app, app[STATE].metrics.registry)
    app.cleanup_ctx.append(_operating)
    cors.add_to(app, settings.cors_origin)
    auth.add_to(app, settings.key_file)
    return app


async def drain(app: web.Application) -> None:
    """Request the operator to stop; `_operating` waits for reconciliations in progress."""
    app[STATE].stop.set()


async def _live(request: web.Request) -> web.Response:
    state = request.app[STATE]
    is_live = not state.has_failed and (state.leader is None or state.leader.is_live())
    return web.json_response({"live": is_live}, status=200 if is_live else 503)


async def _ready(request: web.Request) -> web.Response:
    leader = request.app[STATE].leader
    is_ready = leader is None or leader.is_synced
    body = {"ready": is_ready, "leading": leader is not None}
    return web.json_response(body, status=200 if is_ready else 503)


async def _operating(app: web.Application) -> AsyncIterator[None]:
    operating = asyncio.create_task(_operate(app[STATE]))
    yield
    app[STATE].stop.set()
    await asyncio.gather(operating, return_exceptions=True)


async def _operate(state: OperatorState) -> None:
    settings = state.settings
    identity = settings.identity or f"{socket.gethostname()}-{os.getpid()}"
    try:
        configuration = await load_configuration(settings.kubeconfig)
        writes = state.metrics.api_writes
        # The Lease has connections of its own: renewing it must not wait for a burst of writes.
        async with (
            contextlib.aclosing(KubeClient(configuration, on_write=writes.inc)) as kube,
            contextlib.aclosing(KubeClient(configuration)) as lease_client,
        ):
            login = kopf_events.login_from(configuration if settings.kubeconfig else None)
            lease = Lease(
                lease_client, settings.operator_namespace, identity, settings.lease_duration_s
            )
            await _run_elected(state, kube, login, lease)
    except Exception:  # noqa: BLE001 - a bug ends the process, with its traceback
        logs.get().exception("operator.failed")
        state.has_failed = True
    if not state.stop.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


async def _run_elected(
    state: OperatorState, kube: KubeClient, login: kopf_events.Login, lease: Lease
) -> None:
    if not state.settings.leader_election:
        await _lead(state, kube, login, asyncio.create_task(state.stop.wait()))
        return
    if not await _unless_stopped(state, lease.acquire()):
        return
    renewing = asyncio.create_task(lease.renew_until_lost())
    try:
        await _lead(state, kube, login, renewing)
    finally:
        is_lost = renewing.done()
        renewing.cancel()
        state.has_failed = state.has_failed or is_lost
        if not is_lost:
            await lease.release()


async def _lead(
    state: OperatorState, kube: KubeClient, login: kopf_events.Login, ending: "asyncio.Task[object]"
) -> None:
    settings, queue = state.settings, WorkQueue()
    store = Store(on_change=queue.add)
    key = settings.observe_key.get_secret_value() if settings.observe_key else None
    async with (
        contextlib.aclosing(PodLoadClient(key)) as pod_load_client,
        contextlib.aclosing(RouterLoadClient(key)) as router_load_client,
    ):
        router_poller = RouterPoller(
            store, router_load_client, state.metrics, queue.add, settings.router_poll_interval_s
        )
        release = Release(settings.server_image, settings.router_image, settings.operator_namespace)
        reconciler = Reconciler(
            kube,
            store,
            release,
            pod_load_client,
            router_poller,
            state.metrics,
            settings.identity or "operator",
        )
        state.leader = Leader(kube, settings, store, queue, reconciler, state.metrics, login)
        state.metrics.fleets.statuses = store.statuses
        state.metrics.is_leader.set(1)
        _bind_gauges(state.metrics, state.leader)
        try:
            if not await _unless_stopped(state, state.leader.prepare()):
                return
            async with state.leader.running():
                await _first(state.stop.wait(), ending)
        finally:
            state.metrics.is_leader.set(0)
            state.metrics.fleets.statuses = tuple
            state.leader = None


def _bind_gauges(metrics: Metrics, leader: Leader) -> None:
    metrics.queue_depth.set_function(lambda: len(leader.queue))
    metrics.watch_age_s.set_function(
        lambda: (
            time.monotonic()
            - min((watch.last_event_s for watch in leader.watches), default=time.monotonic())
        )
    )


async def _unless_stopped(state: OperatorState, waiting: object) -> bool:
    """Wait until `waiting` completes or a stop is requested; return whether it completed."""
    task = asyncio.ensure_future(waiting)  # type: ignore[call-overload]
    await _first(state.stop.wait(), task)
    if task.done():
        task.result()
        return True
    task.cancel()
    return False


async def _first(stopping: object, other: "asyncio.Task[object]") -> None:
    stop = asyncio.ensure_future(stopping)  # type: ignore[call-overload]
    await asyncio.wait({stop, other}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
