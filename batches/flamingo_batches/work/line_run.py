"""Sends the lines of one batch that is in progress, until all have a result or it has to stop."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from flamingo_batches import ids
from flamingo_batches.checks import clips, outcomes
from flamingo_batches.checks.clips import BodyTemplate
from flamingo_batches.checks.outcomes import Again, Answer, Failure, LineResult
from flamingo_batches.metrics import Metrics
from flamingo_batches.records import PlannedLine
from flamingo_batches.state import State
from flamingo_batches.store import work
from flamingo_batches.work.permits import Permits
from flamingo_batches.work.results import Results
from flamingo_batches.work.sender import LineSender
from flamingo_batches.work.spool import InputSpool
from flamingo_common.service import logs
from flamingo_common.wire import parse

PAGE_LINES = 500
JITTER = (0.5, 1.0)
SILENCE_S = 60.0
"""Between two logs of the same thing."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What all batches of a replica send their lines with."""

    sender: LineSender
    permits: Permits
    metrics: Metrics


@dataclass(slots=True)
class LineRun:
    """The lines of one batch, whose input is in `spool`."""

    state: State
    fleet: Fleet
    spool: InputSpool
    results: Results
    endpoint: str
    owner: str
    has_to_stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when no more lines may be sent; those in flight are waited for."""
    _sending: set[asyncio.Task[None]] = field(default_factory=set)
    _silent_until_s: float = 0.0

    async def run(self) -> bool:
        """Send all lines; return whether all have a result by now.

        Raises:
            LeaseLost: another replica works on the batch.
        """
        room = asyncio.Semaphore(self.state.settings.max_concurrency)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.results.keep_recording())
            async for line in self.pending():
                if await self._room_or_stop(room):
                    break
                task = group.create_task(self._finish_line(line, room))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
            while self._sending:
                await asyncio.wait(set(self._sending))
            self.results.finish()
        return not self.has_to_stop.is_set()

    def abort(self) -> None:
        """Send no more lines, and do not wait for those in flight."""
        self.has_to_stop.set()
        for task in self._sending:
            task.cancel()

    async def end_lines(self, *, is_expired: bool) -> None:
        """Give each line without a result one that says why it has none.

        Raises:
            LeaseLost: another replica works on the batch.
        """
        async for line in self.pending():
            custom_id, _ = self._parsed(line)
            line_id = ids.line(self.results.lease.batch_id, line.number)
            result = outcomes.unsent(line_id, custom_id, is_expired=is_expired)
            await self.results.add(line.position, result)
            if line.position % PAGE_LINES == PAGE_LINES - 1:
                await self.results.record()
        await self.results.record()

    async def pending(self) -> AsyncIterator[PlannedLine]:
        """Yield the lines without a result, in their order."""
        last = -1
        while True:
            batch_id = self.results.lease.batch_id
            lines = await self.state.database.run(
                work.pending, batch_id, last, PAGE_LINES, patience_s=None
            )
            for line in lines:
                yield line
            if not lines:
                return
            last = lines[-1].position

    async def _room_or_stop(self, room: asyncio.Semaphore) -> bool:
        """Wait until one more line can be begun; return whether the batch has to stop instead."""
        if not room.locked():
            await room.acquire()
            return self.has_to_stop.is_set()
        waits = [asyncio.create_task(each) for each in (room.acquire(), self.has_to_stop.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self.has_to_stop.is_set()

    async def _finish_line(self, line: PlannedLine, room: asyncio.Semaphore) -> None:
        try:
            result = await self._result(line)
            if result is not None:
                await self.results.add(line.position, result)
        finally:
            room.release()

    async def _result(self, line: PlannedLine) -> LineResult | None:
        """Return the result of a line, however often it is sent; None if the batch stops first."""
        custom_id, body = self._parsed(line)
        line_id = ids.line(self.results.lease.batch_id, line.number)
        num_attempts = 0
        while not self.has_to_stop.is_set():
            answer, again = await self._send(body, line_id, num_attempts)
            if again is None:
                return outcomes.result(line_id, custom_id, answer)
            num_attempts += again.counts
            self._note(again, line)
            await self._sleep(again.wait_s * random.uniform(*JITTER))  # noqa: S311 - no secret
        return None

    async def _send(
        self, body: BodyTemplate, line_id: str, num_attempts: int
    ) -> tuple[Answer | Failure, Again | None]:
        """Return the answer to a line, and how to send it again; None if it is final."""
        permits = self.fleet.permits
        await permits.acquire(self.owner)
        try:
            answer = await self.fleet.sender.send(self.endpoint, body, line_id)
        except BaseException:
            permits.abandon()
            raise
        again = outcomes.next_step(answer, num_attempts)
        if again is not None and again.is_refusal:
            permits.release_refused(again.retry_after_s)
        else:
            permits.release()
        return answer, again

    async def _sleep(self, wait_s: float) -> None:
        """Sleep, but not longer than until the batch has to stop."""
        try:
            async with asyncio.timeout(wait_s):
                await self.has_to_stop.wait()
        except TimeoutError:
            pass

    def _note(self, again: Again, line: PlannedLine) -> None:
        self.fleet.metrics.retries.labels(again.code).inc()
        logs.get().debug("line.sent_again", line=line.number, error=again.code)
        now_s = time.monotonic()
        if again.is_misconfigured and now_s >= self._silent_until_s:
            self._silent_until_s = now_s + SILENCE_S
            message = "the router refuses this service: check --server-url and --server-key"
            logs.get().error("router.refused", error=again.code, message=message)

    def _parsed(self, line: PlannedLine) -> tuple[str, BodyTemplate]:
        fields: dict[str, Any] = parse.parse_json_object(self.spool.read(line))
        return fields["custom_id"], clips.template(fields["body"])
