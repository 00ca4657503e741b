"""What the operator does, apart from answering probes: leader election, and then the leader's work.

It is imported while the probes are answered already (`app`): kopf, the Kubernetes client and the
types of the API take a second of CPU time, which is a minute for a pod with a small CPU request on
a busy node.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from flamingo_common.service import logs
from flamingo_operator.cluster import kopf_events, service_account
from flamingo_operator.cluster.kube import ConfigurationError, KubeClient, load_configuration
from flamingo_operator.cluster.store import Store
from flamingo_operator.cluster.warning_events import WarningEvents
from flamingo_operator.leader import Leader
from flamingo_operator.lease import Lease
from flamingo_operator.manifests.common import Release
from flamingo_operator.operator_state import OperatorState
from flamingo_operator.polling.pod_load_client import PodLoadClient
from flamingo_operator.polling.router_load_client import RouterLoadClient
from flamingo_operator.polling.router_poller import RouterPoller
from flamingo_operator.reconcile import Reconciler
from flamingo_operator.status_writer import StatusWriter
from flamingo_operator.telemetry.metrics import Metrics
from flamingo_operator.work_queue import WorkQueue


@dataclass(slots=True)
class _Operation:
    """What the whole process shares."""

    state: OperatorState
    metrics: Metrics
    kube: KubeClient
    login: kopf_events.Login
    namespace: str
    """The operator's own."""

    async def run_elected(self, lease: Lease) -> None:
        """Lead while this replica holds the Lease."""
        state = self.state
        state.problems = lambda: [lease.problem] if lease.problem else []
        if not await _unless_stopped(state, lease.acquire()):
            return
        renewing = asyncio.create_task(lease.renew_until_lost())
        try:
            await self.lead(renewing)
        finally:
            is_lost = renewing.done()
            renewing.cancel()
            state.has_failed = state.has_failed or is_lost
            if not is_lost:
                await lease.release()

    async def lead(self, ending: "asyncio.Task[object]") -> None:
        """Reconcile until a stop is requested, or `ending` is done."""
        settings, metrics, queue = self.state.settings, self.metrics, WorkQueue()
        store = Store(on_change=queue.add)
        key = settings.observe_key.get_secret_value() if settings.observe_key else None
        async with (
            contextlib.aclosing(PodLoadClient(key)) as pod_load_client,
            contextlib.aclosing(RouterLoadClient(key)) as router_load_client,
        ):
            router_poller = RouterPoller(
                store, router_load_client, metrics, queue.add, settings.router_poll_interval_s
            )
            reconciler = Reconciler(
                self.kube,
                store,
                self._release(),
                pod_load_client,
                router_poller,
                WarningEvents(self.kube),
                metrics,
                StatusWriter(self.kube, store, settings.identity or "operator"),
            )
            leader = Leader(self.kube, settings, store, queue, reconciler, metrics, self.login)
            _bind_gauges(metrics, leader)
            with self._leading(leader):
                async with leader.running():
                    await _first(self.state.stop.wait(), ending)

    def _release(self) -> Release:
        settings = self.state.settings
        return Release(
            server_image=settings.server_image,
            router_image=settings.router_image,
            batches_image=settings.batches_image,
            operator_namespace=self.namespace,
            scraper_namespaces=tuple(settings.scraper_namespaces),
        )

    @contextlib.contextmanager
    def _leading(self, leader: Leader) -> Iterator[None]:
        """Report the leader's state while the block lasts."""
        state, metrics = self.state, self.metrics
        state.problems, state.makes_progress, state.is_leading = (
            leader.problems,
            leader.is_live,
            True,
        )
        metrics.fleets.statuses = leader.store.statuses
        metrics.is_leader.set(1)
        try:
            yield
        finally:
            metrics.is_leader.set(0)
            metrics.fleets.statuses = tuple
            state.is_leading = False


async def operate(state: OperatorState) -> None:
    """Wait for the Lease, then lead, until a stop is requested or leadership is lost."""
    settings = state.settings
    identity = settings.identity or f"{socket.gethostname()}-{os.getpid()}"
    metrics = Metrics(state.registry)
    try:
        configuration = await load_configuration(settings.kubeconfig)
    except ConfigurationError as error:
        logs.get().error("operator.failed", error=str(error))
        state.has_failed = True
        return
    namespace = settings.operator_namespace or service_account.default_namespace(
        is_in_cluster=not settings.kubeconfig
    )
    # The Lease has connections of its own: renewing it must not wait for a burst of writes.
    async with (
        contextlib.aclosing(KubeClient(configuration, on_write=metrics.api_writes.inc)) as kube,
        contextlib.aclosing(KubeClient(configuration)) as lease_client,
    ):
        login = kopf_events.login_from(configuration if settings.kubeconfig else None)
        operation = _Operation(state, metrics, kube, login, namespace)
        if settings.leader_election:
            lease = Lease(lease_client, namespace, identity, settings.lease_duration_s)
            await operation.run_elected(lease)
        else:
            await operation.lead(asyncio.create_task(state.stop.wait()))


def _bind_gauges(metrics: Metrics, leader: Leader) -> None:
    metrics.queue_depth.set_function(lambda: len(leader.queue))
    metrics.watch_age_s.set_function(
        lambda: (
            time.monotonic()
            - min(
                (one.last_event_s for one in leader.watch_set.running if one.is_synced),
                default=time.monotonic(),
            )
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
