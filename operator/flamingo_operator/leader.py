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
from flamingo_operator.cluster import kinds, watches
from flamingo_operator.cluster.apply import NOT_FOUND, StaleError
from flamingo_operator.cluster.kopf_events import KopfWatcher, Login
from flamingo_operator.cluster.kube import ApiError, KubeClient
from flamingo_operator.cluster.store import Store
from flamingo_operator.cluster.watch import Watch
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
    watches: list[Watch] = field(default_factory=list)
    resource_watch: KopfWatcher | None = None
    is_synced: bool = False

    async def prepare(self) -> None:
        """Wait until the API server responds, and choose what to watch."""
        while True:
            try:
                self.watches = await watches.create_watches(
                    self.kube, self.store, self.settings.namespaces
                )
            except ApiError as error:
                logs.get().warning("api.unreachable", error=error.message)
                await asyncio.sleep(random.uniform(0.5, 2.0))  # noqa: S311 - jitter
            else:
                return

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Lead while the block lasts; reconciliations in progress are finished."""
        self.resource_watch = KopfWatcher(
            self._on_resource_event, self._check_crd, self.settings.namespaces, self.login
        )
        self.resource_watch.start()
        stop = asyncio.Event()
        workers = [
            asyncio.create_task(self._work(stop))
            for _ in range(self.settings.max_concurrent_reconciles)
        ]
        background = [asyncio.create_task(watch.run()) for watch in self.watches]
        background.append(asyncio.create_task(self._resync()))
        background.append(asyncio.create_task(self.reconciler.router_poller.run()))
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

    async def _check_crd(self) -> None:
        """Return if the API server serves our kind.

        Raises:
            ApiError: it does not, or does not respond.
        """
        try:
            await self.kube.get(f"/apis/{kinds.RESOURCE.version}")
        except ApiError as error:
            if error.status == NOT_FOUND:
                message = f"CustomResourceDefinition {names.CRD} is not installed"
                raise ApiError(NOT_FOUND, message) from error
            raise

    def _on_resource_event(self, event_type: str | None, body: Mapping[str, Any]) -> None:
        if event_type == "DELETED":
            self.store.drop_resource(body)
        else:
            self.store.put_resource(body)

    async def _work(self, stop: asyncio.Event) -> None:
        await watches.wait_until_synced(self.watches)
        self.is_synced = True
        while not stop.is_set():
            getting = asyncio.ensure_future(self.queue.get())
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait({getting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not getting.done():
                getting.cancel()
                return
            await self._reconcile(getting.result())

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
            try:
                uids = await self._list_resources()
            except ApiError as error:
                logs.get().warning("resync.failed", error=error.message)
                continue
            for key in self.store.deployment_keys():
                resource = self.store.resource(key)
                if resource is not None and resource.uid not in uids:
                    self.store.drop_resource(resource.body)
                self.queue.add(key)

    async def _list_resources(self) -> set[str]:
        """Put every deployment into the store; return their uids."""
        uids: set[str] = set()
        for namespace in self.settings.namespaces or [""]:
            query = {"limit": "250"}
            while True:
                page = await self.kube.get(kinds.RESOURCE.path(namespace), query)
                for one in page["items"]:
                    self.store.put_resource(one)
                    uids.add(one["metadata"]["uid"])
                if not (more := page["metadata"].get("continue")):
                    break
                query["continue"] = more
        return uids

    def is_live(self) -> bool:
        """Whether due deployments are reconciled in time, and the kopf thread is running."""
        is_watching = self.resource_watch is None or self.resource_watch.is_alive
        return is_watching and self.queue.longest_overdue_s() < STUCK_S


async def _finish(tasks: list["asyncio.Task[None]"], grace_period_s: float) -> None:
    done, late = await asyncio.wait(tasks, timeout=grace_period_s)
    for task in late:
        task.cancel()
    await asyncio.gather(*done, *late, return_exceptions=True)
