"""The drain gate: counts the requests in flight, and admits no more once it is closed."""

import asyncio
import contextlib
from collections.abc import Iterator

from flamingo_common.errors import Draining


class DrainGate:
    """Counts the requests in flight until it is closed, then waits for them to end."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.is_closed = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Count one request as in flight while the block runs.

        Raises:
            Draining: the gate is closed.
        """
        if self.is_closed:
            raise Draining("this server is shutting down; retry", retry_after_s=1.0)
        self.in_flight += 1
        self._is_idle.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._is_idle.set()

    async def close(self) -> None:
        """Admit no more requests; return when the last one in flight has ended."""
        self.is_closed = True
        await self._is_idle.wait()
