"""Collects the results of one batch's lines, and records them durably, some at a time.

First a chunk of results is written, then one transaction records the chunk and that its lines are
done. A process that is killed in between leaves a chunk that is never read, and its lines are sent
again: each result is in the output once.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flamingo_batches import ids
from flamingo_batches.checks.outcomes import LineResult
from flamingo_batches.records import StoredBatch, Usage
from flamingo_batches.state import State
from flamingo_batches.store import work
from flamingo_batches.store.work import Chunk, Lease, Progress
from flamingo_common.service import logs
from flamingo_common.service.backoff import backoff_s

MAX_CHUNK_RESULTS = 1000
MAX_CHUNK_BYTES = 8 * 2**20
MAX_WAITING_BYTES = 64 * 2**20
"""Of results in memory, beyond which no more lines are sent until some are recorded."""
FIRST_RETRY_S, MAX_RETRY_S = 0.5, 10.0


def interval_s(elapsed_s: float) -> float:
    """Return how long results are collected: 1 s at first, and longer for long batches."""
    return min(max(elapsed_s / 60, 1.0), 30.0)


@dataclass(slots=True)
class Results:
    """Results of one batch that are not recorded yet."""

    state: State
    lease: Lease
    on_recorded: Callable[[StoredBatch, list[LineResult]], None]
    _waiting: list[tuple[int, LineResult]] = field(default_factory=list)
    _num_bytes: int = 0
    _is_finished: bool = False
    _started_s: float = field(default_factory=time.monotonic)
    _is_due: asyncio.Event = field(default_factory=asyncio.Event)
    _has_room: asyncio.Event = field(default_factory=asyncio.Event)
    _recording: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def add(self, position: int, result: LineResult) -> None:
        """Add the result of a line; waits while too many are in memory."""
        self._waiting.append((position, result))
        self._num_bytes += len(result.text)
        if self._num_bytes >= MAX_CHUNK_BYTES or len(self._waiting) >= MAX_CHUNK_RESULTS:
            self._is_due.set()
        while self._num_bytes > MAX_WAITING_BYTES:
            self._has_room.clear()
            await self._has_room.wait()

    async def keep_recording(self) -> None:
        """Record what was collected, again and again, until `finish` was called."""
        is_last = False
        while not is_last:
            wait_s = interval_s(time.monotonic() - self._started_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._is_due.wait()
            is_last = self._is_finished  # before it: all that was added by then is recorded
            await self.record()

    def finish(self) -> None:
        """Let `keep_recording` end, once all is recorded.

        Cancelling it would leave open whether the transaction at hand is committed.
        """
        self._is_finished = True
        self._is_due.set()

    async def record(self) -> None:
        """Record all that was collected.

        Raises:
            LeaseLost: another replica works on the batch.
        """
        async with self._recording:
            while self._waiting:
                taken = self._waiting[:MAX_CHUNK_RESULTS]
                await self._record_chunk(taken)
                del self._waiting[: len(taken)]
                self._num_bytes -= sum(len(result.text) for _, result in taken)
                self._has_room.set()
            if not self._is_finished:
                self._is_due.clear()

    async def _record_chunk(self, taken: list[tuple[int, LineResult]]) -> None:
        results = [result for _, result in taken]
        output = b"".join(each.text for each in results if not each.is_error)
        error = b"".join(each.text for each in results if each.is_error)
        chunk = Chunk(ids.new_chunk(), len(output), len(error))
        for kind, data in (("output", output), ("error", error)):
            if data:
                await self._write(ids.chunk_path(self.lease.batch_id, chunk.id, kind), data)
        num_completed = sum(each.outcome == "completed" for each in results)
        usage = sum((each.usage for each in results), Usage())
        positions = [position for position, _ in taken]
        progress = Progress(positions, num_completed, len(results) - num_completed, usage)
        batch = await self.state.database.run(
            work.record, self.lease, chunk, progress, patience_s=None
        )
        self.on_recorded(batch, results)

    async def _write(self, path: str, data: bytes) -> None:
        """Write an object, however long that takes."""
        num_failures = 0
        while True:
            try:
                return await self.state.contents.write(path, data)
            except Exception as error:  # noqa: BLE001 - each kind of store has errors of its own
                num_failures += 1
                logs.get().error("contents.write_failed", path=path, reason=str(error)[:300])
            wait_s = backoff_s(num_failures, first_s=FIRST_RETRY_S, max_s=MAX_RETRY_S)
            await asyncio.sleep(wait_s)
