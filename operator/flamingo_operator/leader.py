"""What the leader does: follow, queue, reconcile, until told to stop."""

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

PASS_S = 120.0
"""Longest pass; each of its requests has a shorter limit of its own."""
STUCK_S = 180.0
"""A deployment that is due for longer is due for ever."""


@dataclass(slots=True)
class Leading:
    """The leader's parts, which live and end together."""

    kube: KubeClient
    settings: Settings
    store: Store
    queue: WorkQueue
    reconciler: Reconciler
    metrics: Metrics
    login: Login
    watches: list[Watch] = field(default_factory=list)
    source: KopfWatcher | None = None
    is_synced: bool = False

    async def prepare(self) -> None:
        """Wait until the API server answers."""
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
        """Lead for as long as the block lasts; passes under way are finished."""
        self.source = KopfWatcher(self._told, self._served, self.settings.namespaces, self.login)
        self.source.start()
        following = [asyncio.create_task(watch.run()) for watch in self.watches]
        stop = asyncio.Event()
        workers = [
            asyncio.create_task(self._work(stop))
            for _ in range(self.settings.max_concurrent_reconciles)
        ]
        resync = asyncio.create_task(self._resync())
        listening = asyncio.create_task(self.reconciler.listening.run())
        try:
            yield
        finally:
            stop.set()
            for task in (resync, listening, *following):
                task.cancel()
            # A worker that waits for a key is cancelled, one that has a key finishes it.
            await _ended(workers, self.settings.grace_period_s)
            await asyncio.gather(resync, listening, *following, return_exceptions=True)
            await self.source.stop()

    async def _served(self) -> None:
        """Return if the API server knows our kind.

        Raises:
            ApiError: it does not, or does not answer.
        """
        try:
            await self.kube.get(f"/apis/{kinds.RESOURCE.version}")
        except ApiError as error:
            if error.status == NOT_FOUND:
                told = f"there is no CustomResourceDefinition {names.CRD}"
                raise ApiError(NOT_FOUND, told) from error
            raise

    def _told(self, kind: str | None, body: Mapping[str, Any]) -> None:
        if kind == "DELETED":
            self.store.drop_resource(body)
        else:
            self.store.put_resource(body)

    async def _work(self, stop: asyncio.Event) -> None:
        await watches.wait_until_synced(self.watches)
        self.is_synced = True
        while not stop.is_set():
            taking = asyncio.ensure_future(self.queue.take())
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait({taking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not taking.done():
                taking.cancel()
                return
            await self._pass(taking.result())

    async def _pass(self, key: str) -> None:
        started_s = time.perf_counter()
        try:
            async with asyncio.timeout(PASS_S):
                wake_s = await self.reconciler.reconcile(key)
        except StaleError as stale:
            self._failed(key, "stale", str(stale), 0.0)
        except ApiError as error:
            reason = str(error.status or "refused")
            self._failed(key, reason, error.message, error.retry_after_s or 0.0)
        except Exception:  # noqa: BLE001 - the one place that keeps a bug from ending the loop
            logs.get().exception("reconcile.failed", key=key)
            self._failed(key, "bug", "see the traceback above", 0.0)
        else:
            self.queue.done(key)
            if wake_s is not None:
                self.queue.add(key, after_s=wake_s)
        self.metrics.reconcile_s.observe(time.perf_counter() - started_s)

    def _failed(self, key: str, reason: str, message: str, at_least_s: float) -> None:
        wait_s = self.queue.failed(key, at_least_s=at_least_s)
        self.metrics.errors.labels(reason).inc()
        logs.get().warning(
            "reconcile.again", key=key, reason=reason, message=message, wait_s=round(wait_s, 2)
        )

    async def _resync(self) -> None:
        """Look at everything now and then, also at what was made or deleted unseen."""
        while True:
            await asyncio.sleep(self.settings.resync_interval_s * random.uniform(0.9, 1.1))  # noqa: S311
            try:
                uids = await self._seen()
            except ApiError as error:
                logs.get().warning("resync.failed", error=error.message)
                continue
            for key in self.store.deployment_keys():
                resource = self.store.resource(key)
                if resource is not None and resource.uid not in uids:
                    self.store.drop_resource(resource.body)
                self.queue.add(key)

    async def _seen(self) -> set[str]:
        """See every deployment; return their uids."""
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
        """Whether deployments that are due get their turn, and are heard of."""
        is_heard = self.source is None or self.source.is_alive
        return is_heard and self.queue.oldest_s() < STUCK_S


async def _ended(tasks: list["asyncio.Task[None]"], grace_s: float) -> None:
    done, late = await asyncio.wait(tasks, timeout=grace_s)
    for task in late:
        task.cancel()
    await asyncio.gather(*done, *late, return_exceptions=True)
