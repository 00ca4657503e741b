"""Our services in this process, over real sockets: two pods with the tiny model, a router, batches,
and what an operator exports of two fleets."""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
from aiohttp import web
from control_plane.deployments import INTERNAL
from fakes import polling
from fakes.clusters import Cluster
from fakes.operator_inputs import QUICK
from fakes.patience import PATIENCE_S
from monitoring import scrape_configs
from monitoring.scrape_configs import Target

from flamingo_batches import app as batches_app
from flamingo_batches.settings import Settings as BatchSettings
from flamingo_common.service import exposition
from flamingo_common.wire.report import StartReport
from flamingo_operator.api import names
from flamingo_operator.cluster import cold_start
from flamingo_operator.cluster.cold_start import ColdStartPhases
from flamingo_operator.manifests import common, pod_monitor
from flamingo_operator.telemetry.metrics import Metrics
from flamingo_operator.telemetry.server_lifecycle import EndedDrain
from flamingo_pod import app as pod_app
from flamingo_pod import pod
from flamingo_pod.settings import Settings as PodSettings
from flamingo_router import app as router_app
from flamingo_router.settings import Settings as RouterSettings

NAMESPACE, FLEET, FAILING = "audio", "music", "failing"
NUM_SERVERS = 2
START = ColdStartPhases(schedule_s=2.0, image_pull_s=3.0, load_s=55.0)
SPLIT = cold_start.with_start_report(START, StartReport(fetch_s=10.0, load_s=40.0, warm_s=5.0))


@dataclass
class Services:
    """What runs, and the operator's metrics, which a test advances."""

    router: str
    batches: str
    targets: list[Target]
    operator: Metrics
    operator_target: Target

    def act(self) -> None:
        """Let the operator do what it counts: scale, start and drain pods, and fail."""
        lifecycle, key = self.operator.lifecycle, f"{NAMESPACE}/{FLEET}"
        lifecycle.observe_starts([START], [SPLIT])
        lifecycle.count_drains(key, [EndedDrain("finished", 7.0)])
        lifecycle.count_scale_decision(key, "Step")
        self.operator.errors.labels("api_error").inc()
        self.operator.router_reads.labels("succeeded").inc()
        self.operator.api_writes.inc()
        self.operator.reconcile_s.observe(0.01)


@contextlib.contextmanager
def running() -> Iterator[Services]:
    """Run the services on an event loop of their own, until the pods are ready."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stack = contextlib.AsyncExitStack()

    def call(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(120)

    try:
        services = call(_start(stack))
        yield services
    finally:
        call(stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(stack: contextlib.AsyncExitStack) -> Services:
    servers = [await stack.enter_async_context(_pod()) for _ in range(NUM_SERVERS)]
    settings = RouterSettings(_cli_parse_args=[], endpoint=servers, cold_start_hold_s=0)
    router = await stack.enter_async_context(_served(router_app.create(settings)))
    batches = await stack.enter_async_context(_batches(router))
    metrics = operator_metrics()
    application = web.Application()
    exposition.add_to(application, metrics.registry)
    operator = await stack.enter_async_context(_served(application))
    for address in servers:
        await _until(address, lambda found: found["status"] == "ready")
    await _until(router, lambda found: found["ready"] == NUM_SERVERS)
    await _until(batches, lambda found: found["status"] == "ready")
    targets = [
        *(_target(address, f"music-{num}", "server") for num, address in enumerate(servers)),
        _target(router, "music-router-0", "router"),
        _target(batches, "music-batches-0", "batches"),
    ]
    operator_target = Target(
        _host(operator), "flamingo-system", "operator-0", "operator", service="operator"
    )
    return Services(router, batches, targets, metrics, operator_target)


def operator_metrics() -> Metrics:
    """Return what an operator exports of a fleet that works and one whose pods fail."""
    good = Cluster.of(
        {"scaling": INTERNAL, "rollout": QUICK, "cost": {"gpuPerHour": "1.90"}, "replicas": 2}
    )
    good.live(5)
    bad = Cluster.of({"replicas": 2, "rollout": QUICK})
    bad.live(5)
    bad.fault(*bad.pods, num_restarts=0)
    bad.operate()
    metrics = Metrics()
    cost = {"cost": {"perHour": "3.80", "perAudioHour": "0.16", "currency": "USD"}}
    metrics.fleets.statuses = lambda: [
        (f"{NAMESPACE}/{FLEET}", good.status["observedGeneration"], good.status | cost),
        (f"{NAMESPACE}/{FAILING}", bad.status["observedGeneration"], bad.status),
    ]
    metrics.is_leader.set(1)
    metrics.set_demand(f"{NAMESPACE}/{FLEET}", 1.5, 12.0)
    metrics.set_gpus(f"{NAMESPACE}/{FLEET}", 2)
    for difference in ("missing", "unknown", "changed"):
        metrics.crd_skew.labels(difference).set(0)
    return metrics


def monitor(fleet: str) -> dict[str, object]:
    """Return the PodMonitor that the operator makes for a fleet."""
    cluster = Cluster.of()
    cluster.body["metadata"] |= {"name": fleet, "namespace": NAMESPACE}
    (made,) = common.without_empty(pod_monitor.pod_monitors(cluster.deployment))
    return made


def config(services: Services, service_monitor: dict[str, object]) -> dict[str, object]:
    """Return Prometheus' configuration for the services."""
    return scrape_configs.config(
        scrape_configs.of_pod_monitor(monitor(FLEET), services.targets),
        scrape_configs.of_service_monitor(service_monitor, [services.operator_target]),
    )


@contextlib.asynccontextmanager
async def _pod() -> AsyncIterator[str]:
    settings = PodSettings(_cli_parse_args=[], model="flamingo-tiny")
    async with _served(pod_app.create(pod.create(settings))) as address:
        yield address


@contextlib.asynccontextmanager
async def _batches(router: str) -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        settings = BatchSettings(
            _cli_parse_args=[],
            server_url=router,
            database_url=f"sqlite:///{folder}/batches.db",
            contents_url=f"{folder}/contents",
            poll_interval_s=0.1,
        )
        async with _served(batches_app.create(settings)) as address:
            yield address


@contextlib.asynccontextmanager
async def _served(application: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def _until(address: str, holds: Callable[[dict[str, Any]], bool]) -> None:
    """Return once what a service says of its health is as wanted."""
    async with httpx2.AsyncClient(timeout=PATIENCE_S) as client, asyncio.timeout(PATIENCE_S):

        async def is_as_wanted() -> bool:
            return holds((await client.get(f"{address}/health/ready")).json())

        await polling.until(is_as_wanted)


def _target(address: str, name: str, component: names.Component) -> Target:
    labels = names.labels(FLEET, component)
    return Target(_host(address), NAMESPACE, name, component, labels=labels)


def _host(address: str) -> str:
    return address.removeprefix("http://")
