"""Outcomes on the way from the requests to the output, with a bound on their memory."""

import asyncio
import contextlib
from typing import Generic, TypeVar

from flamingo.batch.outcomes import Outcome

T = TypeVar("T")
MAX_OUTCOMES = 256
MAX_BYTES = 64 * 2**20
"""Of embeddings. The largest single one, of 20 minutes, has 154 MB and passes too."""

Pair = tuple[Outcome, T]
"""An outcome with the value of this process that belongs to it."""


class OutcomeBuffer(Generic[T]):
    """A queue that is emptied at once; whoever puts something into a full one waits."""

    def __init__(self) -> None:
        self._pairs: list[Pair[T]] = []
        self._num_bytes = 0
        self._has_some = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_full = asyncio.Event()
        self.is_closed = False
        """Whether the last outcome has been put."""

    async def put(self, outcome: Outcome, value: T) -> None:
        """Add an outcome at once, so that a cancelled task loses none; then wait for room."""
        self._pairs.append((outcome, value))
        self._num_bytes += _num_bytes(outcome)
        self._has_some.set()
        if len(self._pairs) >= MAX_OUTCOMES or self._num_bytes >= MAX_BYTES:
            self._is_full.set()
            self._has_room.clear()
        await self._has_room.wait()

    def close(self) -> None:
        """Record that no more outcomes follow; `wait` then returns at once."""
        self.is_closed = True
        self._has_some.set()
        self._is_full.set()

    async def wait(self, fill_s: float) -> None:
        """Wait for the first outcome, then at most `fill_s` until the buffer is full."""
        await self._has_some.wait()
        if fill_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_full.wait(), fill_s)

    def take(self) -> list[Pair[T]]:
        """Remove and return all outcomes."""
        pairs, self._pairs, self._num_bytes = self._pairs, [], 0
        if not self.is_closed:
            self._has_some.clear()
            self._is_full.clear()
        self._has_room.set()
        return pairs


def _num_bytes(outcome: Outcome) -> int:
    result = outcome.result
    return 0 if result is None or result.embedding is None else result.embedding.nbytes
