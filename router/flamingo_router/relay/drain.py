"""Who is inside: the requests that are open, and the order to let no more in."""

import asyncio
import contextlib
from collections.abc import Iterator

from flamingo_common.errors import Draining


class Gate:
    """Counts the requests inside; once it is shut, nobody enters."""

    def __init__(self) -> None:
        self.num_inside = 0
        self.is_shut = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Be inside for the length of the block.

        Raises:
            Draining: the gate is shut.
        """
        if self.is_shut:
            raise Draining("this router is about to stop; ask again", retry_after_s=1.0)
        self.num_inside += 1
        self._is_empty.clear()
        try:
            yield
        finally:
            self.num_inside -= 1
            if not self.num_inside:
                self._is_empty.set()

    async def shut(self) -> None:
        """Let nobody in any more; return when the last one has left."""
        self.is_shut = True
        await self._is_empty.wait()
