"""The operator's process: its life as leader or in waiting, and three addresses.

`/health/live`: it makes progress. `/health/ready`: it leads and has seen
everything, or it waits for the Lease. `/metrics`.
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
from flamingo_operator.leader import Leading
from flamingo_operator.lease import Lease
from flamingo_operator.manifests.common import Release
from flamingo_operator.polling.pods_load import PodsLoad
from flamingo_operator.polling.router_polling import Listening
from flamingo_operator.polling.routers_load import RoutersLoad
from flamingo_operator.reconcile import Reconciler
from flamingo_operator.settings import Settings
from flamingo_operator.telemetry.metrics import Metrics
from flamingo_operator.work_queue import WorkQueue


@dataclass(slots=True)
class Life:
    """What becomes of the process."""

    settings: Settings
    metrics: Metrics = field(default_factory=Metrics)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    leading: Leading | None = None
    is_lost: bool = False
    """Stopped leading against its will: the process ends with status 1."""


LIFE = web.AppKey("life", Life)


def create(settings: Settings) -> web.Application:
    """Return the operator as an application; it begins when the application does."""
    app = http.create_app(max_body_bytes=settings.max_body_bytes)
    app[LIFE] = Life(settings)
    app.router.add_get("/health/live", _live)
    app.router.add_get("/health/ready", _ready)
    exposition.add_to(app, app[LIFE].metrics.registry)
    app.cleanup_ctx.append(_living)
    cors.add_to(app, settings.cors_origin)
    auth.add_to(app, settings.key_file)
    return app


async def drain(app: web.Application) -> None:
    """Finish what is under way; `_living` waits for it."""
    app[LIFE].stop.set()


async def _live(request: web.Request) -> web.Response:
    life = request.app[LIFE]
    is_live = not life.is_lost and (life.leading is None or life.leading.is_live())
    return web.json_response({"live": is_live}, status=200 if is_live else 503)


async def _ready(request: web.Request) -> web.Response:
    leading = request.app[LIFE].leading
    is_ready = leading is None or leading.is_synced
    body = {"ready": is_ready, "leading": leading is not None}
    return web.json_response(body, status=200 if is_ready else 503)


async def _living(app: web.Application) -> AsyncIterator[None]:
    life = asyncio.create_task(_live_long(app[LIFE]))
    yield
    app[LIFE].stop.set()
    await asyncio.gather(life, return_exceptions=True)


async def _live_long(life: Life) -> None:
    settings = life.settings
    identity = settings.identity or f"{socket.gethostname()}-{os.getpid()}"
    try:
        configuration = await load_configuration(settings.kubeconfig)
        # The Lease has connections of its own: it must not wait behind a crowd of writes.
        async with (
            contextlib.aclosing(KubeClient(configuration)) as kube,
            contextlib.aclosing(KubeClient(configuration)) as aside,
        ):
            login = kopf_events.login_from(configuration if settings.kubeconfig else None)
            lease = Lease(aside, settings.operator_namespace, identity, settings.lease_duration_s)
            await _elected(life, kube, login, lease)
    except Exception:  # noqa: BLE001 - a bug ends the process, with its traceback
        logs.get().exception("operator.failed")
        life.is_lost = True
    if not life.stop.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


async def _elected(life: Life, kube: KubeClient, login: kopf_events.Login, lease: Lease) -> None:
    if not life.settings.leader_election:
        await _lead(life, kube, login, asyncio.create_task(life.stop.wait()))
        return
    if not await _unless_stopped(life, lease.acquire()):
        return
    losing = asyncio.create_task(lease.keep())
    try:
        await _lead(life, kube, login, losing)
    finally:
        is_lost = losing.done()
        losing.cancel()
        life.is_lost = life.is_lost or is_lost
        if not is_lost:
            await lease.release()


async def _lead(
    life: Life, kube: KubeClient, login: kopf_events.Login, ending: "asyncio.Task[object]"
) -> None:
    settings, queue = life.settings, WorkQueue()
    store = Store(changed=queue.add)
    key = settings.observe_key.get_secret_value() if settings.observe_key else None
    async with (
        contextlib.aclosing(PodsLoad(key)) as pods_load,
        contextlib.aclosing(RoutersLoad(key)) as routers_load,
    ):
        listening = Listening(
            store, routers_load, life.metrics, queue.add, settings.router_poll_interval_s
        )
        release = Release(settings.server_image, settings.router_image, settings.operator_namespace)
        reconciler = Reconciler(
            kube,
            store,
            release,
            pods_load,
            listening,
            life.metrics,
            settings.identity or "operator",
        )
        life.leading = Leading(kube, settings, store, queue, reconciler, life.metrics, login)
        life.metrics.fleets.statuses = store.statuses
        life.metrics.is_leader.set(1)
        _show(life.metrics, life.leading)
        try:
            if not await _unless_stopped(life, life.leading.prepare()):
                return
            async with life.leading.running():
                await _first(life.stop.wait(), ending)
        finally:
            life.metrics.is_leader.set(0)
            life.metrics.fleets.statuses = tuple
            life.leading = None


def _show(metrics: Metrics, leading: Leading) -> None:
    metrics.queue_depth.set_function(lambda: len(leading.queue))
    metrics.writes.set_function(lambda: leading.kube.num_writes)
    metrics.watch_age_s.set_function(
        lambda: (
            time.monotonic()
            - min((watch.last_event_s for watch in leading.watches), default=time.monotonic())
        )
    )


async def _unless_stopped(life: Life, waiting: object) -> bool:
    """Wait, unless told to stop before; return whether that for which was waited came."""
    task = asyncio.ensure_future(waiting)  # type: ignore[call-overload]
    await _first(life.stop.wait(), task)
    if task.done():
        task.result()
        return True
    task.cancel()
    return False


async def _first(stopping: object, other: "asyncio.Task[object]") -> None:
    stop = asyncio.ensure_future(stopping)  # type: ignore[call-overload]
    await asyncio.wait({stop, other}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
