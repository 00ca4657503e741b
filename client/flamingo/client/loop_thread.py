"""An event loop in a thread of its own, so that code without one can wait for coroutines.

The loop is never the caller's, so it works where one already runs (Jupyter) and
where none may (a worker thread).
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Farewell = Callable[[], Coroutine[Any, Any, None]]


class LoopThread:
    """The thread and its loop; `stop` ends both."""

    def __init__(self, farewell: Farewell) -> None:
        """Start; `farewell` is the last thing the loop runs."""
        self._farewell = farewell
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._is_stopped = False
        # A daemon, so that a client nobody closed cannot keep a program alive.
        self._thread = threading.Thread(target=self._run, name="flamingo-client", daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what `work` returns; whatever interrupts the caller cancels it.

        Raises:
            RuntimeError: the thread has been stopped.
        """
        with self._lock:  # work is handed over before `stop`, or not at all
            if self._is_stopped:
                work.close()
                raise RuntimeError("this FlamingoClient is closed")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
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
