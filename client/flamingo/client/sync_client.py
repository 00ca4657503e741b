"""The synchronous client.

It wraps an `AsyncFlamingoClient` and a thread that runs its event loop. Each method is the
asynchronous one, run to completion; `_blocking` and `_blocking_stream` preserve signatures
and docstrings for editors and mypy.
"""

import asyncio
import functools
import weakref
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, Unpack

import numpy as np
from numpy.typing import NDArray

from flamingo.batch.progress import Progress
from flamingo.client import forks
from flamingo.client.async_client import AsyncFlamingoClient, ClientOptions
from flamingo.client.batch_methods import AsyncBatch
from flamingo.client.loop_thread import LoopThread
from flamingo.client.streams import (
    AnswerDelta,
    AsyncAnswerStream,
    AsyncChunkStream,
    AsyncTextStream,
)
from flamingo.client.sync_batches import Batches
from flamingo_common.errors import FlamingoError
from flamingo_common.wire import responses
from flamingo_common.wire.answers import Answer
from flamingo_common.wire.measured import Measured

P = ParamSpec("P")
T = TypeVar("T")


class ChunkStream(Generic[T]):
    """A streamed response: `for … in stream: …`.

    The iterator may be abandoned at any point: `with` (or `close`) cancels the request, and
    the fleet stops generating.
    """

    def __init__(self, stream: AsyncChunkStream[Any, T], thread: LoopThread) -> None:
        self._chunks = stream
        self._thread = thread

    @property
    def usage(self) -> responses.Usage | None:
        """Tokens and seconds of audio; None before the end."""
        return self._chunks.usage

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        taken = self._thread.run(functools.partial(_next_chunk, self._chunks))
        if taken is None:
            raise StopIteration
        return taken

    def close(self) -> None:
        """Cancel the request; after a fork, only the process that opened it can."""
        if not self._thread.is_parents:
            self._thread.run(self._chunks.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class TextStream(ChunkStream[str]):
    """The text of one response, as deltas: `for text in stream: …`.

    `with` (or `close`) cancels the request.
    """

    def __init__(self, stream: AsyncTextStream, thread: LoopThread) -> None:
        super().__init__(stream, thread)
        self._stream = stream

    @property
    def finish_reason(self) -> responses.ChatFinishReason | None:
        """`stop`, or `length` when `max_tokens` was reached; None before the end."""
        return self._stream.finish_reason

    @property
    def reasoning(self) -> str:
        """What the model has thought so far, which is before the first text; of chats only."""
        return self._stream.reasoning


class AnswerStream(ChunkStream[AnswerDelta]):
    """Answers to several questions, as deltas: `for delta in stream: …`.

    Those of all questions come as they are generated. `with` (or `close`) cancels the request.
    """

    def __init__(self, stream: AsyncAnswerStream, thread: LoopThread) -> None:
        super().__init__(stream, thread)
        self._stream = stream

    @property
    def answers(self) -> Mapping[str, Answer]:
        """The answers that are complete, by name."""
        return self._stream.answers

    @property
    def finish_reason(self) -> responses.FinishReason | None:
        """Of the caption of an analysis without questions."""
        return self._stream.finish_reason

    @property
    def embedding(self) -> NDArray[np.float32] | None:
        """At the end, if it was requested; shape (frames, dimensions)."""
        return self._stream.embedding

    @property
    def measured(self) -> Measured | None:
        """At the end, if `measure` was set: tempo, beats, key and loudness."""
        return self._stream.measured


class Batch(Generic[T]):
    """A batch that runs while it is iterated: `for path, result in batch: …`.

    A result is the response, or the `FlamingoError` by which the clip failed. They come in order
    of completion, after they were recorded. `with` (or `close`) cancels what is in flight, and so
    does Ctrl-C; everything that has arrived is recorded.
    """

    def __init__(self, batch: AsyncBatch[T], thread: LoopThread) -> None:
        self._batch = batch
        self._thread = thread
        self._turn = asyncio.Lock()
        """Held while the batch is read: what Ctrl-C interrupts ends before the batch is closed."""

    @property
    def progress(self) -> Progress:
        """The counts until now."""
        return self._batch.progress

    def stop(self) -> None:
        """Send nothing more. The iterator ends after what is in flight."""
        self._thread.run(functools.partial(_stop, self._batch))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[str, T | FlamingoError]:
        pair = self._thread.run(functools.partial(_next_pair, self._batch, self._turn))
        if pair is None:
            raise StopIteration
        return pair

    def close(self) -> None:
        """Cancel what is in flight; after a fork, only the process that opened it can."""
        if not self._thread.is_parents:
            self._thread.run(functools.partial(_close, self._batch, self._turn))

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


def _blocking_answers(
    method: Callable[Concatenate[AsyncFlamingoClient, P], AsyncAnswerStream],
) -> Callable[Concatenate["FlamingoClient", P], AnswerStream]:
    @functools.wraps(method, assigned=("__name__", "__doc__"))
    def stream(self: "FlamingoClient", /, *args: P.args, **kwargs: P.kwargs) -> AnswerStream:
        return AnswerStream(method(self._client, *args, **kwargs), self._thread)

    return stream


def _blocking_batch(
    method: Callable[Concatenate[AsyncFlamingoClient, P], AsyncBatch[T]],
) -> Callable[Concatenate["FlamingoClient", P], Batch[T]]:
    @functools.wraps(method, assigned=("__name__", "__doc__"))
    def batch(self: "FlamingoClient", /, *args: P.args, **kwargs: P.kwargs) -> Batch[T]:
        return Batch(method(self._client, *args, **kwargs), self._thread)

    return batch


class FlamingoClient:
    """A client for a fleet (a router) or a single pod; safe to share between threads.

    It works in forked processes too, as of `multiprocessing` or a `DataLoader`: each opens its own
    connections. A stream belongs to the process that opened it. A pickled client contains its
    arguments, also an `api_key`, and nothing of the environment.
    Takes the arguments of `AsyncFlamingoClient` and raises the same errors.

    Example:
        with FlamingoClient("http://127.0.0.1:8000") as client:
            print(client.caption("song.mp3", style="brief").caption)
            for text in client.stream_caption("song.mp3"):
                print(text, end="", flush=True)
    """

    def __init__(self, base_url: str | None = None, **options: Unpack[ClientOptions]) -> None:
        self._arguments = base_url, options
        self._client = AsyncFlamingoClient(base_url, **options)
        self._start_anew()
        forks.register(self, FlamingoClient._start_in_child)

    def _start_anew(self) -> None:
        self._thread = LoopThread(self._client.aclose)
        # Also runs when the client is garbage-collected, and at interpreter exit.
        self._finalizer = weakref.finalize(self, self._thread.stop)

    @property
    def base_url(self) -> str:
        """The fleet's base URL, without `/v1`."""
        return self._client.base_url

    @property
    def batches(self) -> Batches:
        """The batches that the fleet's service keeps, if it has one."""
        return Batches(self._client.batches, self._thread)

    caption = _blocking(AsyncFlamingoClient.caption)
    stream_caption = _blocking_stream(AsyncFlamingoClient.stream_caption)
    embed = _blocking(AsyncFlamingoClient.embed)
    analyze = _blocking(AsyncFlamingoClient.analyze)
    stream_analyze = _blocking_answers(AsyncFlamingoClient.stream_analyze)
    chat = _blocking(AsyncFlamingoClient.chat)
    stream_chat = _blocking_stream(AsyncFlamingoClient.stream_chat)
    ask = _blocking(AsyncFlamingoClient.ask)
    stream_ask = _blocking_stream(AsyncFlamingoClient.stream_ask)
    decisions = _blocking(AsyncFlamingoClient.decisions)
    tag = _blocking(AsyncFlamingoClient.tag)
    batch_caption = _blocking_batch(AsyncFlamingoClient.batch_caption)
    batch_embed = _blocking_batch(AsyncFlamingoClient.batch_embed)
    batch_analyze = _blocking_batch(AsyncFlamingoClient.batch_analyze)
    batch_tag = _blocking_batch(AsyncFlamingoClient.batch_tag)
    batch_decisions = _blocking_batch(AsyncFlamingoClient.batch_decisions)
    batch_ask = _blocking_batch(AsyncFlamingoClient.batch_ask)
    models = _blocking(AsyncFlamingoClient.models)
    recipes = _blocking(AsyncFlamingoClient.recipes)
    fleet = _blocking(AsyncFlamingoClient.fleet)

    def close(self) -> None:
        """Close all connections and end the thread; idempotent."""
        self._finalizer()

    def _start_in_child(self) -> None:
        """Start anew in a forked process, where the parent's thread does not run."""
        if self._finalizer.detach() is not None:  # the client is not closed
            self._start_anew()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., "FlamingoClient"], tuple[object, ...]]:
        """Return how to pickle the client, as processes that are spawned need: its arguments."""
        base_url, options = self._arguments
        return functools.partial(type(self), **options), (base_url,)


async def _next_chunk(stream: AsyncChunkStream[Any, T]) -> T | None:
    """Return the next delta; None at the end, as a future cannot raise StopIteration."""
    return await anext(stream, None)


async def _next_pair(
    batch: AsyncBatch[T], turn: asyncio.Lock
) -> tuple[str, T | FlamingoError] | None:
    async with turn:
        return await anext(batch, None)


async def _close(batch: AsyncBatch[T], turn: asyncio.Lock) -> None:
    async with turn:
        await batch.aclose()


async def _stop(batch: AsyncBatch[T]) -> None:
    batch.stop()
