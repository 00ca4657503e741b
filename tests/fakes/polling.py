"""Poll a real service until it is as wanted, without taking the cores that it needs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

PAUSE_S = 0.02
"""Between two looks; no result depends on it."""


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Return once `holds()` is true."""
    while not await holds():  # noqa: ASYNC110 - another process wakes nobody
        await asyncio.sleep(PAUSE_S)


async def until_logged(log: Path, event: str) -> None:
    """Return once a line of the log has the event."""

    async def is_there() -> bool:
        return event in await asyncio.to_thread(log.read_text)

    await until(is_there)
