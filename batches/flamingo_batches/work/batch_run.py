"""Works on one batch under a lease: checks it, sends its lines, writes its files."""

import asyncio
import time
from dataclasses import dataclass, field

from flamingo_batches.checks.outcomes import LineResult
from flamingo_batches.records import StoredBatch
from flamingo_batches.state import State
from flamingo_batches.store import work
from flamingo_batches.store.work import Lease, LeaseLost
from flamingo_batches.work import result_files, validation
from flamingo_batches.work.line_run import Fleet, LineRun
from flamingo_batches.work.results import Results
from flamingo_batches.work.spool import InputSpool
from flamingo_common.service import logs

RENEWALS_PER_LEASE = 3
RETRY_AFTER_S = 10.0
"""Before a batch is continued after an unexpected error."""


@dataclass(slots=True)
class BatchRun:
    """One replica's work on one batch."""

    state: State
    fleet: Fleet
    lease: Lease
    owner: str
    _lines: LineRun | None = None
    _is_stopping: bool = False
    _look: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Work until the batch has ended, it has to stop, or another replica has the lease."""
        retry_after_s = 0.0
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._keep_lease())
                await self._advance()
                renewing.cancel()
        except* LeaseLost:
            logs.get().warning("batch.lease_lost", batch=self.lease.batch_id)
        except* Exception:  # noqa: BLE001 - one batch must not end the others
            logs.get().exception("batch.interrupted", batch=self.lease.batch_id)
            retry_after_s = RETRY_AFTER_S
        await self.state.database.run(work.release, self.lease, retry_after_s, patience_s=None)

    def stop(self) -> None:
        """Send no more lines; `run` returns when those in flight have ended and are recorded."""
        self._is_stopping = True
        if self._lines is not None:
            self._lines.has_to_stop.set()

    def abort(self) -> None:
        """Send no more lines; `run` returns when those that were answered are recorded."""
        self.stop()
        if self._lines is not None:
            self._lines.abort()

    def look(self) -> None:
        """Look at once whether the batch was cancelled."""
        self._look.set()

    async def _advance(self) -> None:
        batch = await self._renew()
        with InputSpool() as spool:
            is_there = await validation.load(self.state, batch, spool)
            if not is_there:
                await validation.fail_without_input(self.state, self.lease, batch)
                return
            if batch.status == "validating":
                await validation.validate(self.state, self.lease, batch, spool)
                batch = await self._renew()
            if batch.is_active:
                await self._send_lines(batch, spool)

    async def _send_lines(self, batch: StoredBatch, spool: InputSpool) -> None:
        results = Results(self.state, self.lease, self._note_recorded)
        self._lines = LineRun(self.state, self.fleet, spool, results, batch.endpoint, batch.owner)
        self._react(batch)
        if self._is_stopping:
            self._lines.has_to_stop.set()
        if batch.status == "in_progress":
            is_complete = await self._lines.run()
            batch = await self._renew()
            if not is_complete and not self._has_ended(batch):
                return  # this replica shuts down, and another one continues
        batch = await self.state.database.run(work.finalize, self.lease, patience_s=None)
        await self._lines.end_lines(is_expired=batch.status != "cancelling")
        await result_files.finish(self.state, self.lease, await self._renew())

    async def _keep_lease(self) -> None:
        interval_s = self.lease.duration_s / RENEWALS_PER_LEASE
        while True:
            try:
                async with asyncio.timeout(interval_s):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            self._react(await self._renew())

    def _react(self, batch: StoredBatch) -> None:
        """End the sending of lines if the batch was cancelled or has expired."""
        if self._lines is not None and self._has_ended(batch):
            self._lines.abort()

    def _has_ended(self, batch: StoredBatch) -> bool:
        return batch.status != "in_progress" or time.time() >= batch.expires_at

    def _note_recorded(self, batch: StoredBatch, results: list[LineResult]) -> None:
        for each in results:
            self.fleet.metrics.lines.labels(each.outcome).inc()
        self._react(batch)

    async def _renew(self) -> StoredBatch:
        return await self.state.database.run(work.renew, self.lease, patience_s=None)
