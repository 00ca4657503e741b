"""The synchronous client.

It wraps an `AsyncFlamingoClient` and a thread that runs its event loop. Each method is the
asynchronous one, run to completion; `_blocking` and `_blocking_stream` preserve signatures
and docstrings for editors and mypy.
"""

import functools
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from flamingo.client.async_client import AsyncFlamingoClient, ClientOptions
from flamingo.client.loop_thread import LoopThread
from flamingo.client.streams import AsyncTextStream
from flamingo_common.wire import responses

P = ParamSpec("P")
T = TypeVar("T")


class TextStream:
    """The text of one response, as deltas: `for text in stream: …`.

    The iterator may be abandoned at any point: `with` (or `close`) cancels the request, and
    the fleet stops generating.
    """

    def __init__(self, stream: AsyncTextStream, thread: LoopThread) -> None:
        self._stream = stream
        self._thread = thread

    @property
    def finish_reason(self) -> responses.FinishReason | None:
        """`stop`, or `length` when `max_tokens` was reached; None before the end."""
        return self._stream.finish_reason

    @property
    def usage(self) -> responses.Usage | None:
        """Tokens and seconds of audio; None before the end."""
        return self._stream.usage

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        text = self._thread.run(functools.partial(_next_text, self._stream))
        if text is None:
            raise StopIteration
        return text

    def close(self) -> None:
        """Cancel the request."""
        self._thread.run(self._stream.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _blocking(
    method: Callable[Concatenate[AsyncFlamingoClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["FlamingoClient", P], T]:
    @functools.wraps(method, assigned=("__name__", "__doc__"))
    def run(self: "FlamingoClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._thread.run(lambda: method(self._client, *args, **kwargs))

    return run


def _blocking_stream(
    method: Callable[Concatenate[AsyncFlamingoClient, P], AsyncTextStream],
) -> Callable[Concatenate["FlamingoClient", P], TextStream]:
    @functools.wraps(method, assigned=("__name__", "__doc__"))
    def stream(self: "FlamingoClient", /, *args: P.args, **kwargs: P.kwargs) -> TextStream:
        return TextStream(method(self._client, *args, **kwargs), self._thread)

    return stream


class FlamingoClient:
    """A client for a fleet (a router) or a single pod; safe to share between threads.

    Takes the arguments of `AsyncFlamingoClient` and raises the same errors.

    Example:
        with FlamingoClient("http://127.0.0.1:8000") as client:
            print(client.caption("song.mp3", style="brief").caption)
            for text in client.stream_caption("song.mp3"):
                print(text, end="", flush=True)
    """

    def __init__(self, base_url: str | None = None, **options: Unpack[ClientOptions]) -> None:
        self._client = AsyncFlamingoClient(base_url, **options)
        self._thread = LoopThread(self._client.aclose)
        # Also runs when the client is garbage-collected, and at interpreter exit.
        self._finalizer = weakref.finalize(self, self._thread.stop)

    @property
    def base_url(self) -> str:
        """The fleet's base URL, without `/v1`."""
        return self._client.base_url

    caption = _blocking(AsyncFlamingoClient.caption)
    stream_caption = _blocking_stream(AsyncFlamingoClient.stream_caption)
    embed = _blocking(AsyncFlamingoClient.embed)
    analyze = _blocking(AsyncFlamingoClient.analyze)
    chat = _blocking(AsyncFlamingoClient.chat)
    stream_chat = _blocking_stream(AsyncFlamingoClient.stream_chat)
    ask = _blocking(AsyncFlamingoClient.ask)
    models = _blocking(AsyncFlamingoClient.models)
    fleet = _blocking(AsyncFlamingoClient.fleet)

    def close(self) -> None:
        """Close all connections and end the thread; idempotent."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def _next_text(stream: AsyncTextStream) -> str | None:
    """Return the next delta; None at the end, as a future cannot raise StopIteration."""
    return await anext(stream, None)
