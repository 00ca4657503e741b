"""Tasks whose result is shared by all who want the same at the same time.

The first caller starts a task, and those who come while it runs wait for it, too. A caller who is
cancelled leaves the others waiting; the task is cancelled with the last of them. Nothing is kept
after that: a caller that needs the result later has to keep it.

Only the event loop's thread uses it.
"""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(slots=True)
class _SharedTask(Generic[V]):
    task: "asyncio.Task[V]"
    num_waiting: int = 0


class SharedTasks(Generic[V]):
    """Tasks that run, by what they are about."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, _SharedTask[V]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._tasks

    async def result(self, key: Hashable, start: "Callable[[], asyncio.Task[V]]") -> V:
        """Return the result of the task about `key`, which `start` starts if there is none.

        Raises:
            Exception: whatever the task raises; all who wait for it get it.
        """
        shared = self._tasks.get(key)
        if shared is None:
            shared = self._tasks[key] = _SharedTask(start())
        shared.num_waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.num_waiting -= 1
            if not shared.num_waiting:
                del self._tasks[key]
                await _end(shared.task)


async def _end(task: "asyncio.Task[V]") -> None:
    # Of a task that is done, nothing is awaited: a caller can keep its result before another asks.
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
