"""A caller that is cancelled while a thread works for it."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable

from fakes.patience import PATIENCE_S


async def waits_for_its_thread(call: Callable[[], Awaitable[object]]) -> bool:
    """Whether `call()`, cancelled before its work in a thread begins, returns only after its end.

    The only thread is busy until then.
    """
    loop, may_begin = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
    loop.run_in_executor(None, may_begin.wait, PATIENCE_S)
    calling = asyncio.ensure_future(call())
    await asyncio.sleep(0)
    calling.cancel()
    for _ in range(3):  # it is told, it tells those that it waits for, and they tell it
        await asyncio.sleep(0)
    was_waiting = not calling.done()
    may_begin.set()
    await asyncio.wait([calling])
    assert calling.cancelled()
    return was_waiting
