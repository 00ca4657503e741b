"""Batches of the service behind a fleet, for synchronous code: `client.batches.list()`."""

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from flamingo.client.batches import AsyncBatches
from flamingo.client.loop_thread import LoopThread

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[AsyncBatches, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["Batches", P], T]:
    @functools.wraps(method, assigned=("__name__", "__doc__"))
    def run(self: "Batches", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._thread.run(lambda: method(self._batches, *args, **kwargs))

    return run


class Batches:
    """The batches of this API key; the methods are those of `AsyncBatches`."""

    def __init__(self, batches: AsyncBatches, thread: LoopThread) -> None:
        self._batches = batches
        self._thread = thread

    create = _blocking(AsyncBatches.create)
    retrieve = _blocking(AsyncBatches.retrieve)
    cancel = _blocking(AsyncBatches.cancel)
    wait = _blocking(AsyncBatches.wait)
    save_file = _blocking(AsyncBatches.save_file)
    list = _blocking(AsyncBatches.list)
