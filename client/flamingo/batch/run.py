"""One run of a batch: reads the source, sends items, records outcomes and yields them.

How it works. Each of `concurrency` workers takes the next entry from the `Feed`, passes the `Gate`,
which limits the requests in flight to what the fleet accepts, sends the item, and puts the outcome
into the `OutcomeBuffer`. One task empties the buffer: the `Recorder` makes the outcomes durable,
then they are yielded. Every queue is bounded, so a slow output or a slow caller slows the workers
down. A result that has arrived is recorded however the run ends, except by a kill: what is in the
buffer then is recorded by the last step, in the caller's thread.
"""

import asyncio
import functools
import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Generic, ParamSpec, TypeVar, cast

from flamingo.batch.feed import Feed
from flamingo.batch.gate import Clock, Gate, Sleep
from flamingo.batch.identity import Identity
from flamingo.batch.items import Item, Malformed
from flamingo.batch.outcome_buffer import OutcomeBuffer
from flamingo.batch.outcomes import MALFORMED, ItemError, Outcome, RecordedItem, answers_error
from flamingo.batch.progress import Progress
from flamingo.batch.recorder import Recorder, Recording
from flamingo.batch.source import Source
from flamingo.batch.task import Task
from flamingo.batch.verdicts import Verdict, item_error
from flamingo_common.errors import BadRequest, FlamingoError
from flamingo_common.service import uninterrupted
from flamingo_common.service.backoff import backoff_s

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Done = tuple[Outcome, T | FlamingoError]
"""An outcome, and the response or the error of its last attempt."""
FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 30.0
JITTER = 0.25
NUM_OWN_THREADS = 2
"""For reading the source and for recording, beside those that open clips."""


@dataclass(frozen=True)
class RunOptions:
    """How a batch is run."""

    concurrency: int = 64
    """Most requests in flight; the run sends fewer while the fleet refuses some."""
    max_attempts: int = 5
    """How many times an item is sent whose request breaks off."""
    max_outage_s: float = 3600.0
    """The run stops when the fleet has accepted nothing for so long."""
    record_after_s: float = 0.5
    """A result is recorded and yielded at most this long after it arrived."""
    on_progress: Callable[[Progress], None] | None = None
    """Called after outcomes were recorded, in the event loop's thread."""
    sleep: Sleep = asyncio.sleep
    clock: Clock = time.monotonic

    def __post_init__(self) -> None:
        for name in ("concurrency", "max_attempts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")


class BatchRun(Generic[T]):
    """One run. `done` yields what becomes of each item; `stop` ends it early, without loss."""

    def __init__(
        self,
        source: Source,
        task: Task[T],
        *,
        recording: Recording | None = None,
        options: RunOptions | None = None,
    ) -> None:
        """Prepare a run; without a `recording`, outcomes are only yielded."""
        self.progress = Progress()
        self._source = source
        self._task = task
        self._options = options or RunOptions()
        self._recorder = None if recording is None else Recorder(recording)
        self._gate = Gate(
            max_in_flight=self._options.concurrency,
            max_outage_s=self._options.max_outage_s,
            clock=self._options.clock,
            sleep=self._options.sleep,
        )
        self._threads = ThreadPoolExecutor(
            self._options.concurrency + NUM_OWN_THREADS, thread_name_prefix="flamingo-batch"
        )
        self._feed = Feed(source, None, self._threads)
        self._workers: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        """Workers with a request in flight, or an outcome in hand."""
        self._is_stopping = False
        self._began_s = self._options.clock()

    @property
    def failed_before(self) -> Sequence[RecordedItem]:
        """The first items that earlier runs have recorded as failed."""
        return () if self._recorder is None else self._recorder.failed_before

    def stop(self) -> None:
        """Send nothing more; requests in flight are awaited, recorded and yielded."""
        self._is_stopping = True
        for worker in self._workers - self._busy:
            worker.cancel()

    async def done(self) -> AsyncGenerator[Done[T], None]:
        """Yield each outcome once, in order of completion, after it was recorded.

        Closing the generator, or cancelling its caller, cancels the requests in flight.

        Raises:
            BadRequest: the source cannot be read, or the output belongs to another batch.
            StorageFailed: a folder or bucket of the source cannot be read.
            OutputFailed: the output cannot be written.
            FleetUnavailable: the fleet has accepted nothing for `max_outage_s`.
            FlamingoError: an error that every item would have, such as `InvalidApiKey`.
        """
        self._buffer: OutcomeBuffer[T | FlamingoError] = OutcomeBuffer()
        self._ready: asyncio.Queue[list[Done[T]]] = asyncio.Queue(1)
        main: asyncio.Task[None] | None = None
        try:
            await self._open()
            main = asyncio.create_task(self._run())
            while some := await self._ready.get():
                for one in some:
                    yield one
            await main
            self._count_skipped()
        finally:
            await self._close(main)

    async def _open(self) -> None:
        if self._recorder is not None:
            identity = await self._identity()
            opening = self._submit(self._recorder.open, identity)
            keys = await uninterrupted.result_of(opening)  # `_close` must find what it opened
            self._feed = Feed(self._source, keys, self._threads)
        self._began_s = self._options.clock()

    async def _identity(self) -> Identity:
        fingerprint = await self._in_thread(self._source.fingerprint)
        return Identity(self._task.name, self._task.options, fingerprint)

    async def _close(self, main: asyncio.Task[None] | None) -> None:
        """Cancel what runs, and record what has arrived, also if this is cancelled too."""
        try:
            if main is not None:
                main.cancel()
                await asyncio.wait([main])
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)
            if self._recorder is not None:
                self._recorder.add(outcome for outcome, _ in self._buffer.take())
                self._recorder.close()

    async def _in_thread(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what a function that may block returns; slow clips do not hold up other work."""
        return await self._submit(function, *args, **kwargs)

    def _submit(
        self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[R]:
        call = functools.partial(function, *args, **kwargs)
        return asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _run(self) -> None:
        """Run workers and recording to their end; the first error of either ends both."""
        recording = asyncio.create_task(self._record())
        working = asyncio.create_task(self._work_all())
        tasks = {recording, working}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            if not working.done():  # the output has failed
                working.cancel()
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await self._ready.put([])
        for task in (recording, working):
            if not task.cancelled():
                task.result()

    async def _record(self) -> None:
        fill_s = 0.0 if self._recorder is None else self._options.record_after_s
        while True:
            await self._buffer.wait(fill_s)
            if not (done := self._buffer.take()):  # the buffer is closed
                break
            if self._recorder is not None:
                self._recorder.add(outcome for outcome, _ in done)
                await self._in_thread(self._recorder.flush)
            self._count(done)
            await self._ready.put(done)
        self._count([])  # what was skipped, also if there was nothing else
        if self._recorder is not None:
            await self._in_thread(self._recorder.close)

    def _count(self, done: list[Done[T]]) -> None:
        elapsed_s = self._options.clock() - self._began_s
        self._count_skipped()
        for outcome, _ in done:
            self.progress = self.progress.after(outcome, elapsed_s=elapsed_s)
        if self._options.on_progress is not None:
            self._options.on_progress(self.progress)

    def _count_skipped(self) -> None:
        self.progress = replace(
            self.progress,
            num_skipped=self._feed.num_skipped,
            num_failed_before=self._feed.num_failed_before,
        )

    async def _work_all(self) -> None:
        num_workers = self._options.concurrency
        self._workers = {asyncio.create_task(self._work()) for _ in range(num_workers)}
        try:
            _, others = await asyncio.wait(self._workers, return_when=asyncio.FIRST_EXCEPTION)
            if others:  # one has failed: what the others have in flight is paid for
                self.stop()
                await asyncio.wait(others)
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.wait(self._workers)
            self._buffer.close()
        for worker in self._workers:
            if not worker.cancelled():
                worker.result()

    async def _work(self) -> None:
        this = asyncio.current_task()
        assert this is not None
        while not self._is_stopping and (entry := await self._feed.next()) is not None:
            done: Done[T] | None
            if isinstance(entry, Malformed):
                self._busy.add(this)
                done = _malformed(entry)
            else:
                done = await self._process(entry, this)
            if done is None:
                return
            await self._buffer.put(*done)
            self._busy.discard(this)

    async def _process(self, item: Item, worker: asyncio.Task[None]) -> Done[T] | None:
        """Return what became of an item; None if the run was stopped before."""
        num_attempts = 0
        while not self._is_stopping:
            await self._gate.enter()
            self._busy.add(worker)
            attempt = await self._attempt(item)
            num_attempts += attempt.verdict is not Verdict.REFUSED
            if not attempt.is_repeated(num_attempts, self._options.max_attempts):
                return self._done(item, attempt, num_attempts)
            self._busy.discard(worker)
            if attempt.verdict is not Verdict.REFUSED:  # then the gate decides how long to wait
                await self._back_off(num_attempts)
        return None

    async def _attempt(self, item: Item) -> "_Attempt[T]":
        """Send an item once.

        Raises:
            FlamingoError: every item would fail like this one.
        """
        try:
            audio = await self._in_thread(self._source.audio, item)
            value = await self._task.send(item, audio)
        except FlamingoError as error:
            verdict = self._task.judge(error, item)
            self._leave_gate(error, verdict)
            return _Attempt(error, verdict)
        except BaseException:
            self._gate.leave()
            raise
        self._gate.leave_answered()
        return _Attempt(value, None)

    def _leave_gate(self, error: FlamingoError, verdict: Verdict) -> None:
        if verdict is Verdict.REFUSED:
            self._gate.leave_refused(error)
        elif verdict.is_retried:
            self._gate.leave()
        else:
            self._gate.leave_answered()
        if verdict is Verdict.FATAL:
            raise error

    async def _back_off(self, num_attempts: int) -> None:
        delay_s = backoff_s(num_attempts, first_s=FIRST_BACKOFF_S, max_s=MAX_BACKOFF_S)
        fraction = random.random()  # noqa: S311 - not used for secrets
        await self._options.sleep(delay_s * (1 - JITTER * fraction))

    def _done(self, item: Item, attempt: "_Attempt[T]", num_attempts: int) -> Done[T]:
        value, error, result = attempt.value, None, None
        if attempt.verdict is None:
            result = self._task.to_result(cast("T", value))
            error = answers_error(result.answers)
        else:
            error = item_error(cast("FlamingoError", value), attempt.verdict)
        outcome = Outcome(item.key, item.location, item.columns, result, error, num_attempts)
        return outcome, value


@dataclass(frozen=True, slots=True)
class _Attempt(Generic[T]):
    """What one request returned."""

    value: T | FlamingoError
    verdict: Verdict | None
    """What its error means; None if it has succeeded."""

    def is_repeated(self, num_attempts: int, max_attempts: int) -> bool:
        if self.verdict is None:
            return False
        is_left = num_attempts < max_attempts
        return self.verdict is Verdict.REFUSED or (self.verdict.is_retried and is_left)


def _malformed(entry: Malformed) -> tuple[Outcome, FlamingoError]:
    error = ItemError(MALFORMED, entry.message, can_retry=False)
    return Outcome(entry.key, error=error), BadRequest(f"{entry.key}: {entry.message}")
