"""The way of outputs from the engine's thread to the event loops that wait for them.

How it works: the thread collects what a step emits in an `Outbox`, and hands it over in one
callback for each event loop, whatever the number of sequences. The callback puts each output into
the queue of its group of prompts, which an `OutputStream` reads.
"""

import asyncio
import contextlib
import functools
import math
from collections import abc
from dataclasses import dataclass, field

from flamingo_common.errors import DeadlineExceeded, FlamingoError, InternalError
from flamingo_pod.engine.scheduling.sequence import Sequence, TokenOutput

Output = tuple[int, TokenOutput | Exception]
"""Index of the prompt in its group, and its next token or the error that ended it."""


@dataclass(slots=True)
class SequenceHandle:
    """The event loop's handle of one submitted prompt."""

    number: int
    outputs: "asyncio.Queue[Output]"
    """Shared by the prompts of its group."""
    loop: asyncio.AbstractEventLoop
    sequence: Sequence | None = None
    """Set and read by the engine's thread alone."""
    is_cancelled: bool = False


@dataclass(slots=True)
class Outbox:
    """Outputs that the event loops do not have yet; used by the engine's thread alone."""

    _pending: dict[asyncio.AbstractEventLoop, list[tuple[SequenceHandle, Output]]] = field(
        default_factory=dict
    )

    def emitter(self, handle: SequenceHandle) -> abc.Callable[[TokenOutput | Exception], None]:
        """Return a function that adds an output of the handle's sequence."""
        return functools.partial(self.add, handle)

    def add(self, handle: SequenceHandle, output: TokenOutput | Exception) -> None:
        """Keep an output until `flush`."""
        self._pending.setdefault(handle.loop, []).append((handle, (handle.number, output)))

    def flush(self) -> None:
        """Hand over all outputs, in order: one wake-up for each event loop."""
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        for loop, outputs in pending.items():
            # A loop is closed only when the process ends; then they have no receiver.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_distribute, outputs)


def _distribute(outputs: abc.Iterable[tuple[SequenceHandle, Output]]) -> None:
    for handle, output in outputs:
        handle.outputs.put_nowait(output)


@dataclass(slots=True)
class OutputStream:
    """The outputs of prompts that were submitted together."""

    _outputs: "asyncio.Queue[Output]"
    _open: dict[int, SequenceHandle]
    _cancel: abc.Callable[[SequenceHandle], None]
    _deadline_s: float

    async def __aiter__(self) -> abc.AsyncIterator[tuple[int, TokenOutput]]:
        """Yield the index of a prompt and its next output, until all are finished.

        Raises:
            BadRequest: a grammar exceeded its limits.
            DeadlineExceeded: the deadline passed before the next output.
            InternalError: the engine failed on a sequence, or is broken.
        """
        async for number, output in self.outcomes():
            if isinstance(output, FlamingoError):
                raise output
            yield number, output

    async def outcomes(self) -> abc.AsyncIterator[tuple[int, TokenOutput | FlamingoError]]:
        """Yield as `__aiter__`, but an error of one prompt as its last output.

        Raises:
            DeadlineExceeded: the deadline passed before the next output.
        """
        while self._open:
            number, output = await self._next()
            if number not in self._open:
                continue
            if isinstance(output, Exception):
                del self._open[number]
                yield number, _as_error(output)
                continue
            if output.finish_reason is not None:
                del self._open[number]
            yield number, output

    async def _next(self) -> Output:
        if self._deadline_s == math.inf:
            return await self._outputs.get()
        try:
            async with asyncio.timeout_at(self._deadline_s):
                return await self._outputs.get()
        except TimeoutError:
            raise DeadlineExceeded("the deadline has passed") from None

    def cancel(self, number: int) -> None:
        """Cancel one prompt, finished or not; its memory is free within one step."""
        if handle := self._open.pop(number, None):
            self._cancel(handle)


def _as_error(output: Exception) -> FlamingoError:
    if isinstance(output, FlamingoError):
        return output
    error = InternalError("the engine failed on this request")
    error.__cause__ = output
    return error
