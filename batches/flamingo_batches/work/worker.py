"""Takes batches without a lease, and works on several at a time."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator

from flamingo_batches.clip_sources import ClipSources
from flamingo_batches.metrics import Metrics
from flamingo_batches.records import StoredBatch
from flamingo_batches.state import State
from flamingo_batches.store import batches, files, work
from flamingo_batches.store.work import Lease
from flamingo_batches.work import sweeper
from flamingo_batches.work.batch_run import BatchRun
from flamingo_batches.work.line_run import Fleet
from flamingo_batches.work.permits import Permits
from flamingo_batches.work.sender import LineSender

GAUGES_INTERVAL_S = 5.0
LAST_RECORDS_S = 5.0
"""For recording what was answered, after the grace period."""


class Worker:
    """One replica's work on batches."""

    def __init__(self, state: State, metrics: Metrics) -> None:
        """Prepare to work; creates connections, so an event loop must run."""
        settings = state.settings
        sender = LineSender(settings, ClipSources(state.contents, settings.clip_source))
        self._state, self._metrics = state, metrics
        self._fleet = Fleet(sender, Permits(settings.max_concurrency), metrics)
        self._holder = uuid.uuid4().hex
        self._runs: dict[str, BatchRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        metrics.lines_in_flight.set_function(lambda: self._fleet.permits.num_in_flight)
        metrics.concurrency_limit.set_function(lambda: self._fleet.permits.limit)
        metrics.running_batches.set_function(lambda: len(self._runs))
        metrics.database_connected.set_function(lambda: state.database.is_connected)

    async def run(self) -> None:
        """Work until cancelled; `drain` ends it in good order."""
        if not self._state.database.is_shared:  # whoever held leases on this file is gone
            await self._state.database.run(work.release_all, patience_s=None)
        async with self._helpers():
            while True:
                await self._claim()
                await self._wait_for_work()

    async def drain(self) -> None:
        """Take no more batches; return when lines in flight have ended and are recorded."""
        self._is_stopping = True
        for run in self._runs.values():
            run.stop()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """End all work now; what was answered is recorded."""
        self._is_stopping = True
        for run in self._runs.values():
            run.abort()
        if self._tasks:
            _, left = await asyncio.wait(set(self._tasks), timeout=LAST_RECORDS_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        await self._fleet.sender.close()

    @contextlib.asynccontextmanager
    async def _helpers(self) -> AsyncIterator[None]:
        """Run what goes on beside the work on batches."""
        helpers = [self._keep_gauges(), sweeper.keep_sweeping(self._state)]
        if (key_file := self._fleet.sender.key.file) is not None:
            helpers.append(key_file.watch())
        tasks = [asyncio.create_task(each) for each in helpers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _claim(self) -> None:
        """Take batches while there is room for more."""
        settings = self._state.settings
        while len(self._runs) < settings.max_running_batches and not self._is_stopping:
            batch = await self._state.database.run(
                work.claim, self._holder, settings.lease_s, self._full_owners(), patience_s=None
            )
            if batch is None:
                return
            self._start(batch)

    def _full_owners(self) -> list[str]:
        """Return the owners that have half of the running batches already."""
        num_allowed = max(self._state.settings.max_running_batches // 2, 1)
        running = Counter(run.owner for run in self._runs.values())
        return [owner for owner, num in running.items() if num >= num_allowed]

    def _start(self, batch: StoredBatch) -> None:
        lease = Lease(batch.id, self._holder, self._state.settings.lease_s)
        run = BatchRun(self._state, self._fleet, lease, batch.owner)
        self._runs[batch.id] = run
        task = asyncio.create_task(run.run(), name=batch.id)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        if self._is_stopping:
            run.stop()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._runs.pop(task.get_name(), None)
        self._state.has_work.set()  # there is room for another one

    async def _wait_for_work(self) -> None:
        try:
            async with asyncio.timeout(self._state.settings.poll_interval_s):
                await self._state.has_work.wait()
        except TimeoutError:
            return
        self._state.has_work.clear()
        for run in self._runs.values():
            run.look()

    async def _keep_gauges(self) -> None:
        """Read what the metrics say about the database."""
        while True:
            database = self._state.database
            for status, num in (await database.run(batches.num_by_status, patience_s=None)).items():
                self._metrics.batches.labels(status).set(num)
            left = await database.run(batches.num_lines_left, patience_s=None)
            self._metrics.backlog_lines.set(left)
            num_bytes = await database.run(files.num_bytes, patience_s=None)
            self._metrics.stored_bytes.set(num_bytes)
            await asyncio.sleep(GAUGES_INTERVAL_S)
