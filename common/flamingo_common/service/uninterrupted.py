"""Wait for work in a thread to end, also when the waiting coroutine is cancelled.

A cancelled coroutine closes its files while a thread may still use them: a file that the thread
opens is then never closed, and the number of a closed one may already be another file's.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def result_of(work: asyncio.Future[T], discard: Callable[[T], object] | None = None) -> T:
    """Return the result of `work`, which is never cancelled.

    A cancelled caller waits for the end of `work` first; `discard` then gets the unused result.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        if not work.cancelled() and work.exception() is None and discard is not None:
            discard(work.result())
        raise
