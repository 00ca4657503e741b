"""An event loop in a thread of its own, on which synchronous code runs coroutines.

It is never the caller's loop, so it works where one is already running (Jupyter) and where
none can be created (a worker thread).
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
CoroutineFunction = Callable[[], Coroutine[Any, Any, T]]


@dataclass
class _Job(Generic[T]):
    """One coroutine to run, and its outcome.

    The coroutine is created in the loop's thread. If the caller's thread created it, a
    KeyboardInterrupt there could leave a coroutine that is never awaited.
    """

    function: CoroutineFunction[T]
    outcome: Future[T] = field(default_factory=Future)
    task: asyncio.Task[T] | None = None

    def start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self.function())
        self.task.add_done_callback(self._set_outcome)

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def _set_outcome(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.outcome.cancel()
        elif error := task.exception():
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())


class LoopThread:
    """A thread that runs an event loop until `stop` is called."""

    def __init__(self, on_stop: CoroutineFunction[None]) -> None:
        """Start the thread; `on_stop` is the last coroutine that the loop runs."""
        self._on_stop = on_stop
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._is_stopped = False
        # A daemon, so that a client that was never closed does not keep the program alive.
        self._thread = threading.Thread(target=self._run_loop, name="flamingo-client", daemon=True)
        self._thread.start()

    def run(self, function: CoroutineFunction[T]) -> T:
        """Return the result of `await function()`; an exception in the caller cancels it.

        Raises:
            RuntimeError: the thread has been stopped.
        """
        job = _Job(function)
        with self._lock:  # a job is scheduled before `stop`, or not at all
            if self._is_stopped:
                raise RuntimeError("this FlamingoClient is closed")
            self._loop.call_soon_threadsafe(job.start)
        try:
            return job.outcome.result()
        except BaseException:
            with contextlib.suppress(RuntimeError):  # the loop is closed, which ended the job
                self._loop.call_soon_threadsafe(job.cancel)
            raise

    def stop(self) -> None:
        """Cancel what is running, await `on_stop` and end the thread; idempotent."""
        with self._lock:
            if not self._is_stopped:
                self._is_stopped = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        # The garbage collector can finalize a client in any thread, including this one.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._shut_down())
        self._loop.close()

    async def _shut_down(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._on_stop()
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()
