"""An event loop in a thread of its own, on which synchronous code runs coroutines.

It is never the caller's loop, so it works where one is already running (Jupyter) and where
none can be created (a worker thread). The thread starts with the first coroutine, so a client
that is made before a fork and used after it has one in each process.

Ctrl-C raises KeyboardInterrupt anywhere in the caller, also in code of the standard library that
has just acquired a lock and will then never release it. So the two threads share no lock of Python
code, such as that of a Future: the loop's thread could wait for it, and `stop` for that thread.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from flamingo.client import forks

T = TypeVar("T")
CoroutineFunction = Callable[[], Coroutine[Any, Any, T]]
SIGNAL_CHECK_S = 1.0
"""A signal that arrives just before a wait begins is handled when the wait ends."""
CANCEL_TIMEOUT_S = 5.0
"""A coroutine that ignores its cancellation does not keep Ctrl-C from the caller for longer."""


@dataclass
class _Job(Generic[T]):
    """One coroutine to run, and its outcome.

    The coroutine is created in the loop's thread. If the caller's thread created it, a
    KeyboardInterrupt there could leave a coroutine that is never awaited.
    """

    function: CoroutineFunction[T]
    task: asyncio.Task[T] | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _ended: "queue.SimpleQueue[asyncio.Task[T] | None]" = field(default_factory=queue.SimpleQueue)

    def schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the coroutine on a loop, from another thread."""
        self._loop = loop
        loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._run())
        self.task.add_done_callback(self._ended.put)

    async def _run(self) -> T:
        # Here, the error of a call with wrong arguments is the task's, and raised in the caller.
        return await self.function()

    def cancel(self) -> None:
        """Cancel the coroutine if it was scheduled, and wait for its end, in another thread."""
        if self._loop is None:
            return
        with contextlib.suppress(RuntimeError, queue.Empty):  # the loop is closed, which ended it
            self._loop.call_soon_threadsafe(self._cancel)
            self._ended.get(timeout=CANCEL_TIMEOUT_S)

    def _cancel(self) -> None:
        if self.task is None or self.task.done():
            self._ended.put(self.task)
        else:
            self.task.cancel()

    def wait(self) -> None:
        """Wait until the coroutine has ended, in another thread."""
        while True:
            with contextlib.suppress(queue.Empty):
                self._ended.get(timeout=SIGNAL_CHECK_S)
                return

    def result(self) -> T:
        """Return the result of a coroutine that has ended, or raise its exception.

        Raises:
            CancelledError: it was cancelled.
        """
        assert self.task is not None
        if self.task.cancelled():
            raise CancelledError
        return self.task.result()


class LoopThread:
    """A thread that runs an event loop until `stop` is called."""

    def __init__(self, on_stop: CoroutineFunction[None]) -> None:
        """Prepare the thread; `on_stop` is the last coroutine that its loop runs."""
        self._on_stop = on_stop
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_stopped = False
        self.is_parents = False
        """Whether the thread runs in the parent of this process, and not here."""
        forks.register(self, LoopThread._give_up)

    def run(self, function: CoroutineFunction[T]) -> T:
        """Return the result of `await function()`; an exception in the caller cancels it.

        The exception is raised when the coroutine has ended: what it used, such as the generator
        of a stream, can then be used, or closed, by another one.

        Raises:
            RuntimeError: the thread has been stopped, or it is the thread of the parent process.
        """
        job = _Job(function)
        try:
            with self._lock:  # a job is scheduled before `stop`, or not at all
                self._check_is_usable()
                job.schedule(self._loop or self._start())
            job.wait()
        except BaseException:
            job.cancel()
            raise
        return job.result()

    def stop(self) -> None:
        """Cancel what is running, await `on_stop` and end the thread; idempotent."""
        with self._lock:
            if self._loop is not None and not self._is_stopped and not self.is_parents:
                self._loop.call_soon_threadsafe(self._loop.stop)
            self._is_stopped = True
            thread = None if self.is_parents else self._thread
        # The garbage collector can finalize a client in any thread, including this one.
        if thread is not None and threading.current_thread() is not thread:
            thread.join()

    def _check_is_usable(self) -> None:
        if self._is_stopped:
            raise RuntimeError("this FlamingoClient is closed")
        if self.is_parents:
            raise RuntimeError("this stream was opened before a fork, in the parent process")

    def _give_up(self) -> None:
        """Become unusable: the thread runs in the parent only, and so does its event loop."""
        self._lock = threading.Lock()  # another thread may have held it
        if self._loop is not None:
            self.is_parents = True
            forks.keep(self)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        # A daemon, so that a client that was never closed does not keep the program alive.
        thread = threading.Thread(
            target=self._run_loop, args=(loop,), name="flamingo-client", daemon=True
        )
        try:
            thread.start()
        except BaseException:  # an interrupt: the thread may run all the same
            loop.call_soon_threadsafe(loop.stop)
            raise
        self._loop, self._thread = loop, thread
        return loop

    def _run_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        if self._loop is loop:  # and not one whose start was interrupted
            loop.run_until_complete(self._shut_down(loop))
        loop.close()

    async def _shut_down(self, loop: asyncio.AbstractEventLoop) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._on_stop()
        await loop.shutdown_asyncgens()
        await loop.shutdown_default_executor()
