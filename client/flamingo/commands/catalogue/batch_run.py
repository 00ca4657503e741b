"""Run a batch in this process until it ends, or is stopped by ctrl-C or SIGTERM."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flamingo.batch.outcomes import answers_error
from flamingo.batch.progress import Progress
from flamingo.batch.source import Source
from flamingo.client import Analysis, AsyncBatch, AsyncFlamingoClient
from flamingo.commands.display.batch_display import BatchDisplay
from flamingo.commands.display.batch_texts import MAX_FAILURES_SHOWN, Failure
from flamingo_common.errors import FlamingoError

OnProgress = Callable[[Progress], None]
StartBatch = Callable[[AsyncFlamingoClient, OnProgress], AsyncBatch[Any]]
"""Start a batch that reports its progress to a function."""


@dataclass
class Finished:
    """How a run ended."""

    progress: Progress = field(default_factory=Progress)
    failures: list[Failure] = field(default_factory=list)
    """The first ones."""
    failures_before: list[Failure] = field(default_factory=list)
    """The first ones of earlier runs."""
    stopped_by: signal.Signals | None = None
    error: FlamingoError | None = None
    """What ended it early."""


async def run_batch(
    client: AsyncFlamingoClient, start: StartBatch, source: Source, display: BatchDisplay
) -> Finished:
    """Run a batch to its end.

    The first signal lets the requests in flight finish, and the second one cancels them; in both
    cases all results that have arrived are recorded.
    """
    finished = Finished()
    async with client, contextlib.AsyncExitStack() as stack:
        batch = await stack.enter_async_context(start(client, display.on_progress))
        await stack.enter_async_context(display.show())
        stack.enter_context(_counting(source, display))
        stack.enter_context(_stopping(batch, display, finished))
        try:
            async for key, result in batch:
                if (problem := _problem(result)) is not None:
                    _keep(finished.failures, Failure(key, problem))
        except FlamingoError as error:
            finished.error = error
    finished.progress = batch.progress
    before = batch.failed_before
    finished.failures_before = [Failure(one.key, one.failure or "") for one in before]
    return finished


def _problem(result: object) -> str | None:
    """Return why an item failed, or which of its questions did; None if none."""
    if isinstance(result, FlamingoError):
        return result.message
    error = answers_error(result.answers) if isinstance(result, Analysis) else None
    return None if error is None else error.message


def _keep(failures: list[Failure], failure: Failure) -> None:
    if len(failures) < MAX_FAILURES_SHOWN:
        failures.append(failure)


@contextlib.contextmanager
def _stopping(batch: AsyncBatch[Any], display: BatchDisplay, finished: Finished) -> Iterator[None]:
    """Stop `batch` when this process gets SIGINT or SIGTERM, and cancel it with the second one."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: signal.Signals) -> None:
        if finished.stopped_by is not None:
            task.cancel()
            return
        finished.stopped_by = number
        display.on_stopping()
        batch.stop()

    for number in before:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


@contextlib.contextmanager
def _counting(source: Source, display: BatchDisplay) -> Iterator[None]:
    """Count the items of the source in a thread, so that the progress has an end."""
    is_over = threading.Event()

    def count() -> None:
        num = 0
        with contextlib.suppress(FlamingoError, OSError):  # the run itself reports them
            for _ in source.items():
                num += 1
                if is_over.is_set():
                    return
            display.num_items = num

    threading.Thread(target=count, name="count-items", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()
