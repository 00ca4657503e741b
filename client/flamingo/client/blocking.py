"""Run blocking functions beside an event loop, also while the interpreter shuts down.

The pool of threads is imported here: `asyncio` would import it with the first call, and a fork at
that moment leaves the import's lock held in the child, for good.
"""

import asyncio
import concurrent.futures.thread  # noqa: F401
from collections.abc import Callable
from typing import TypeVar

from flamingo_common.service import uninterrupted

T = TypeVar("T")


async def run(function: Callable[..., T], *arguments: object) -> T:
    """Return `function(*arguments)`, which runs in a thread.

    In an `atexit` function no thread can be started any more, and it runs here.
    """
    try:
        return await asyncio.to_thread(function, *arguments)
    except RuntimeError as error:
        if "shutdown" not in str(error):
            raise
        return function(*arguments)


async def run_to_end(
    function: Callable[..., T], *arguments: object, discard: Callable[[T], object] | None = None
) -> T:
    """Return `function(*arguments)` as `run` does; when cancelled, wait for its end first.

    For functions that open a file or use one. `discard` gets the result that a cancelled caller
    does not.
    """
    try:
        work = asyncio.get_running_loop().run_in_executor(None, function, *arguments)
    except RuntimeError as error:
        if "shutdown" not in str(error):
            raise
        return function(*arguments)
    return await uninterrupted.result_of(work, discard)
