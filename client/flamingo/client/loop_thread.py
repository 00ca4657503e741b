"""An event loop in a thread of its own, so that code without one can wait for coroutines.

The loop is never the caller's, so it works where one already runs (Jupyter) and
where none may (a worker thread).
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]


@dataclass
class _Job(Generic[T]):
    """One piece of work, and how it ended.

    The coroutine is made in the loop's thread: ctrl-C strikes the caller's, and
    must not find one there that nobody has awaited.
    """

    work: Work[T]
    outcome: Future[T] = field(default_factory=Future)
    task: asyncio.Task[T] | None = None

    def begin(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self.work())
        self.task.add_done_callback(self._end)

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def _end(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.outcome.cancel()
        elif error := task.exception():
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())


class LoopThread:
    """The thread and its loop; `stop` ends both."""

    def __init__(self, farewell: Work[None]) -> None:
        """Start; `farewell` is the last thing the loop runs."""
        self._farewell = farewell
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._is_stopped = False
        # A daemon, so that a client nobody closed cannot keep a program alive.
        self._thread = threading.Thread(target=self._run, name="flamingo-client", daemon=True)
        self._thread.start()

    def wait(self, work: Work[T]) -> T:
        """Return what awaiting `work()` returns; whatever interrupts the caller cancels it.

        Raises:
            RuntimeError: the thread has been stopped.
        """
        job = _Job(work)
        with self._lock:  # work is handed over before `stop`, or not at all
            if self._is_stopped:
                raise RuntimeError("this FlamingoClient is closed")
            self._loop.call_soon_threadsafe(job.begin)
        try:
            return job.outcome.result()
        except BaseException:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the job with it
                self._loop.call_soon_threadsafe(job.cancel)
            raise

    def stop(self) -> None:
        """Cancel what still runs, say farewell and end; again is no error."""
        with self._lock:
            if not self._is_stopped:
                self._is_stopped = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        # The collector may drop a forgotten client in any thread, this one included.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._farewell()
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()
