"""What the leader runs: watches, the queue, workers that reconcile, a resync and router polling."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flamingo_common.service import logs
from flamingo_operator.api import names
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.apply import StaleError
from flamingo_operator.cluster.kopf_events import KopfWatcher, Login
from flamingo_operator.cluster.kube import ApiError, KubeClient
from flamingo_operator.cluster.resource_scopes import ResourceScopes
from flamingo_operator.cluster.store import Store
from flamingo_operator.cluster.watch_set import WatchSet
from flamingo_operator.crd_check import CrdCheck
from flamingo_operator.reconcile import Reconciler
from flamingo_operator.settings import Settings
from flamingo_operator.telemetry.metrics import Metrics
from flamingo_operator.work_queue import WorkQueue

RECONCILE_TIMEOUT_S = 120.0
"""Longest reconciliation; each of its requests has a shorter timeout of its own."""
STUCK_S = 180.0
"""If a deployment has been due for longer, the process counts as stuck."""


@dataclass(slots=True)
class Leader:
    """The parts that run while this replica leads."""

    kube: KubeClient
    settings: Settings
    store: Store
    queue: WorkQueue
    reconciler: Reconciler
    metrics: Metrics
    login: Login
    watch_set: WatchSet = field(init=False)
    resource_scopes: ResourceScopes = field(init=False)
    resource_watch: KopfWatcher | None = None

    def __post_init__(self) -> None:
        """Create the watches, which do not run yet."""
        on_refusal = self.metrics.set_refused
        self.watch_set = WatchSet(
            self.kube,
            self.store,
            self.settings.namespaces,
            on_refusal,
            self.settings.discovery_interval_s,
            self._enqueue_namespace,
        )
        self.resource_scopes = ResourceScopes(self.kube, self.watch_set.scopes, on_refusal)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Lead while the block lasts; reconciliations in progress are finished."""
        self.resource_watch = KopfWatcher(
            self._on_resource_event, self.resource_scopes.check, self.login
        )
        self.resource_watch.start()
        stop = asyncio.Event()
        workers = [
            asyncio.create_task(self._work(stop))
            for _ in range(self.settings.max_concurrent_reconciles)
        ]
        interval_s = self.settings.discovery_interval_s
        background = [
            asyncio.create_task(self.watch_set.run()),
            asyncio.create_task(CrdCheck(self.kube, self.metrics, interval_s).run()),
            asyncio.create_task(self._watch_returning_namespaces()),
            asyncio.create_task(self._resync()),
            asyncio.create_task(self.reconciler.router_poller.run()),
        ]
        try:
            yield
        finally:
            stop.set()
            for task in background:
                task.cancel()
            # A worker that waits for a key is cancelled, one that has a key finishes it.
            await _finish(workers, self.settings.grace_period_s)
            await asyncio.gather(*background, return_exceptions=True)
            await self.resource_watch.stop()

    async def _watch_returning_namespaces(self) -> None:
        while True:
            await self.resource_scopes.wait_until_one_returns()
            if self.resource_watch is not None:
                self.resource_watch.restart()

    def _on_resource_event(self, event_type: str | None, body: Mapping[str, Any]) -> None:
        if event_type == "DELETED":
            self.store.drop_resource(body)
        else:
            self.store.put_resource(body)

    def _enqueue_namespace(self, namespace: str) -> None:
        for key in self.store.deployment_keys():
            if namespace in ("", names.namespace_of(key)):
                self.queue.add(key)

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            getting = asyncio.ensure_future(self.queue.get())
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait({getting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not getting.done():
                getting.cancel()
                return
            key = getting.result()
            if self._can_reconcile(names.namespace_of(key)):
                await self._reconcile(key)
            else:
                self.queue.done(key)  # it is added again when its namespace has settled

    def _can_reconcile(self, namespace: str) -> bool:
        refusals = self.resource_scopes.refusals
        return self.watch_set.is_settled(namespace) and refusals.keys().isdisjoint({"", namespace})

    async def _reconcile(self, key: str) -> None:
        started_s = time.perf_counter()
        try:
            async with asyncio.timeout(RECONCILE_TIMEOUT_S):
                requeue_s = await self.reconciler.reconcile(key)
        except StaleError as error:
            self._retry(key, "stale", str(error))
        except ApiError as error:
            reason = str(error.status or "api_error")
            self._retry(key, reason, error.message, min_wait_s=error.retry_after_s or 0.0)
        except Exception:  # noqa: BLE001 - the one place that keeps a bug from ending the loop
            logs.get().exception("reconcile.failed", key=key)
            self._retry(key, "internal_error", "see the traceback above")
        else:
            self.queue.done(key)
            if requeue_s is not None:
                self.queue.add(key, after_s=requeue_s)
        self.metrics.reconcile_s.observe(time.perf_counter() - started_s)

    def _retry(self, key: str, reason: str, message: str, *, min_wait_s: float = 0.0) -> None:
        wait_s = self.queue.failed(key, min_wait_s=min_wait_s)
        self.metrics.errors.labels(reason).inc()
        logs.get().warning(
            "reconcile.retry", key=key, reason=reason, message=message, wait_s=round(wait_s, 2)
        )

    async def _resync(self) -> None:
        """Reconcile everything now and then, including what a watch may have missed."""
        while True:
            interval_s = self.settings.resync_interval_s * random.uniform(0.9, 1.1)  # noqa: S311
            await asyncio.sleep(interval_s)
            for scope in self.watch_set.scopes:
                await self._resync_scope(scope)

    async def _resync_scope(self, scope: str) -> None:
        try:
            uids = await self._list_resources(scope)
        except ApiError as error:
            logs.get().warning("resync.failed", namespace=scope, error=error.message)
            if error.is_refusal:
                self.resource_scopes.record(scope, error.message)
            return
        for key in self.store.deployment_keys():
            resource = self.store.resource(key)
            if resource is None or scope not in ("", names.namespace_of(key)):
                continue
            if resource.uid not in uids:
                self.store.drop_resource(resource.body)
            self.queue.add(key)

    async def _list_resources(self, scope: str) -> set[str]:
        """Put every deployment into the store; return their uids."""
        uids: set[str] = set()
        query = {"limit": "250"}
        while True:
            page = await self.kube.get(kinds.RESOURCE.path(scope), query)
            for one in page["items"]:
                self.store.put_resource(one)
                uids.add(one["metadata"]["uid"])
            if not (more := page["metadata"].get("continue")):
                return uids
            query["continue"] = more

    def problems(self) -> list[str]:
        """Return why nothing can be reconciled; nothing if something can."""
        if self.resource_scopes.problem:
            return [self.resource_scopes.problem]
        return self.watch_set.problems()

    def is_live(self) -> bool:
        """Whether due deployments are reconciled in time, and the kopf thread is running."""
        is_watching = self.resource_watch is None or self.resource_watch.is_alive
        return is_watching and self.queue.longest_overdue_s() < STUCK_S


async def _finish(tasks: list["asyncio.Task[None]"], grace_period_s: float) -> None:
    done, late = await asyncio.wait(tasks, timeout=grace_period_s)
    for task in late:
        task.cancel()
    await asyncio.gather(*done, *late, return_exceptions=True)
