"""Measures how late the event loop is."""

import asyncio

from flamingo_router.balancing.loop_lag import INTERVAL_S, LoopLag


async def keep_measuring(lag: LoopLag) -> None:
    """Record the delay of the event loop, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + INTERVAL_S
        await asyncio.sleep(INTERVAL_S)
        lag.record(loop.time() - due_s)
