"""The client for code without an event loop.

It holds an `AsyncFlamingoClient` and a thread with a loop, and nothing else:
each method *is* the asynchronous one, waited for. `_waited` and `_iterated`
carry the signature over, so editors and mypy know it too.
"""

import functools
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from flamingo.client.async_client import AsyncFlamingoClient, Options
from flamingo.client.loop_thread import LoopThread
from flamingo.client.streams import AsyncTextStream
from flamingo_common.wire import responses

P = ParamSpec("P")
T = TypeVar("T")


class TextStream:
    """The words of one answer: `for words in stream: …`.

    Leaving early is allowed: `with` (or `close`) ends the request, and the fleet
    stops working on it.
    """

    def __init__(self, stream: AsyncTextStream, thread: LoopThread) -> None:
        self._stream = stream
        self._thread = thread

    @property
    def finish_reason(self) -> responses.FinishReason | None:
        """`length` when the answer was cut at `max_tokens`; None before the end."""
        return self._stream.finish_reason

    @property
    def usage(self) -> responses.Usage | None:
        """What the request took; None before the end."""
        return self._stream.usage

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        words = self._thread.wait(functools.partial(_next, self._stream))
        if words is None:
            raise StopIteration
        return words

    def close(self) -> None:
        """End the request."""
        self._thread.wait(self._stream.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _waited(
    method: Callable[Concatenate[AsyncFlamingoClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["FlamingoClient", P], T]:
    @functools.wraps(method, assigned=("__name__", "__doc__"))
    def waited(self: "FlamingoClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._thread.wait(lambda: method(self._client, *args, **kwargs))

    return waited


def _iterated(
    method: Callable[Concatenate[AsyncFlamingoClient, P], AsyncTextStream],
) -> Callable[Concatenate["FlamingoClient", P], TextStream]:
    @functools.wraps(method, assigned=("__name__", "__doc__"))
    def iterated(self: "FlamingoClient", /, *args: P.args, **kwargs: P.kwargs) -> TextStream:
        return TextStream(method(self._client, *args, **kwargs), self._thread)

    return iterated


class FlamingoClient:
    """A fleet, or one pod, at one address: `with FlamingoClient(address) as client: …`.

    Takes what `AsyncFlamingoClient` takes, and raises what it raises. Several
    threads may share one.
    """

    def __init__(self, base_url: str | None = None, **options: Unpack[Options]) -> None:
        self._client = AsyncFlamingoClient(base_url, **options)
        self._thread = LoopThread(self._client.aclose)
        # Also runs when the client is forgotten, and at the end of the program.
        self._finalizer = weakref.finalize(self, self._thread.stop)

    @property
    def base_url(self) -> str:
        """Where the fleet is."""
        return self._client.base_url

    caption = _waited(AsyncFlamingoClient.caption)
    stream_caption = _iterated(AsyncFlamingoClient.stream_caption)
    embed = _waited(AsyncFlamingoClient.embed)
    analyze = _waited(AsyncFlamingoClient.analyze)
    chat = _waited(AsyncFlamingoClient.chat)
    stream_chat = _iterated(AsyncFlamingoClient.stream_chat)
    ask = _waited(AsyncFlamingoClient.ask)
    models = _waited(AsyncFlamingoClient.models)
    fleet = _waited(AsyncFlamingoClient.fleet)

    def close(self) -> None:
        """Close all connections and end the thread; again is no error."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def _next(stream: AsyncTextStream) -> str | None:
    """Return the next words; None at the end, for StopIteration cannot cross a future."""
    return await anext(stream, None)
