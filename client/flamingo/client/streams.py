"""Streamed responses: server-sent events, parsed into text deltas.

A stream that ends before its `[DONE]` raises an error: an incomplete response is never
returned as a complete one.
"""

import asyncio
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import aiohttp
import numpy as np
from numpy.typing import NDArray

from flamingo.client import results, translation
from flamingo.client.failures import UnexpectedResponse
from flamingo_common import errors
from flamingo_common.wire import responses, sse
from flamingo_common.wire.answers import AnalysisChunk, Answer
from flamingo_common.wire.measured import Measured

CONTENT_TYPE = "text/event-stream"
END_TIMEOUT_S = 1.0
"""Timeout between `[DONE]` and the end of the response."""
C = TypeVar("C")
T = TypeVar("T")


@dataclass(frozen=True)
class TextChunk:
    """One event of a caption stream or a chat stream."""

    text: str
    finish_reason: responses.ChatFinishReason | None
    usage: responses.Usage | None
    reasoning: str = ""


@dataclass(frozen=True)
class AnswerDelta:
    """What one event of a streamed analysis has: text of one answer, or the whole answer."""

    name: str | None
    """The question; None for the caption of an analysis without questions."""
    text: str
    """What has been added to the answer."""
    answer: Answer | None
    """The whole answer, in the last event of its question."""


class AsyncChunkStream(ABC, Generic[C, T]):
    """A streamed response: `async for … in stream: …`.

    The iterator may be abandoned at any point: `async with` (or `aclose`) cancels the
    request, and the fleet stops generating.
    """

    def __init__(self, chunks: AsyncGenerator[C, None]) -> None:
        self._chunks = chunks
        self.usage: responses.Usage | None = None
        """Tokens and seconds of audio; None before the end."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop that reads the stream."""

    @abstractmethod
    def _take(self, chunk: C) -> T | None:
        """Keep what a chunk says of the response, and return what the caller gets of it."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        self.loop = asyncio.get_running_loop()
        async for chunk in self._chunks:
            if (taken := self._take(chunk)) is not None:
                return taken
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancel the request."""
        await self._chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class AsyncTextStream(AsyncChunkStream[TextChunk, str]):
    """The text of one response, as deltas: `async for text in stream: …`.

    `async with` (or `aclose`) cancels the request.
    """

    def __init__(self, chunks: AsyncGenerator[TextChunk, None]) -> None:
        super().__init__(chunks)
        self.finish_reason: responses.ChatFinishReason | None = None
        """`stop`, or `length` when `max_tokens` was reached; None before the end."""
        self.reasoning = ""
        """What the model has thought so far, which is before the first text; of chats only."""

    def _take(self, chunk: TextChunk) -> str | None:
        self.reasoning += chunk.reasoning
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.usage = chunk.usage or self.usage
        return chunk.text or None


class AsyncAnswerStream(AsyncChunkStream[AnalysisChunk, AnswerDelta]):
    """Answers to several questions, as deltas: `async for delta in stream: …`.

    Those of all questions come as they are generated. `async with` (or `aclose`) cancels the
    request.
    """

    def __init__(self, chunks: AsyncGenerator[AnalysisChunk, None]) -> None:
        super().__init__(chunks)
        self.answers: dict[str, Answer] = {}
        """The answers that are complete, by name."""
        self.finish_reason: responses.FinishReason | None = None
        """Of the caption of an analysis without questions."""
        self.embedding: NDArray[np.float32] | None = None
        """At the end, if it was requested; shape (frames, dimensions)."""
        self.measured: Measured | None = None
        """At the end, if `measure` was set: tempo, beats, key and loudness."""

    def _take(self, chunk: AnalysisChunk) -> AnswerDelta | None:
        self.usage = chunk.usage or self.usage
        self.measured = chunk.measured or self.measured
        if chunk.embedding is not None:
            self.embedding = results.decode_matrix(chunk.embedding)
        if chunk.name is None:
            self.finish_reason = chunk.finish_reason or self.finish_reason
        elif chunk.answer is not None:
            self.answers[chunk.name] = chunk.answer
        has_news = chunk.delta or chunk.answer is not None
        return AnswerDelta(chunk.name, chunk.delta, chunk.answer) if has_news else None


async def read_events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON object of each event.

    Raises:
        UpstreamLost: the stream ended before `[DONE]`.
        UnexpectedResponse: the response has no events, or one is too long or not a JSON object.
        FlamingoError: the server sent an error event.
    """
    if response.content_type != CONTENT_TYPE:
        raise UnexpectedResponse(f"not a stream of events: {translation.not_ours(response)}")
    decoder = sse.EventDecoder()
    async for data in response.content.iter_any():
        for text in _decode_events(decoder, data):
            if text == "[DONE]":
                await _read_to_end(response)
                return
            event = _parse_object(text)
            if "error" in event:
                raise errors.from_response(errors.InternalError.status, text.encode())
            yield event
    raise errors.UpstreamLost("the stream ended before the response was complete")


def parse_caption_chunk(event: dict[str, Any]) -> TextChunk:
    """Parse one event of a caption stream."""
    chunk = responses.CaptionChunk.model_validate(event)
    return TextChunk(chunk.delta, chunk.finish_reason, chunk.usage)


def parse_analysis_chunk(event: dict[str, Any]) -> AnalysisChunk:
    """Parse one event of an analysis stream."""
    return AnalysisChunk.model_validate(event)


def parse_chat_chunk(event: dict[str, Any]) -> TextChunk:
    """Parse one event of a chat stream; the event with the usage has no choices."""
    chunk = responses.ChatCompletionChunk.model_validate(event)
    if not chunk.choices:
        return TextChunk("", None, chunk.usage)
    choice = chunk.choices[0]
    delta = choice.delta
    reasoning = delta.reasoning_content or ""
    return TextChunk(delta.content or "", choice.finish_reason, chunk.usage, reasoning)


async def _read_to_end(response: aiohttp.ClientResponse) -> None:
    """Let the server end the response: closing right after `[DONE]` counts as a disconnect."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(END_TIMEOUT_S):
            await response.read()


def _parse_object(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise UnexpectedResponse(f"a stream event is not a JSON object: {text[:80]!r}")
    return event


def _decode_events(decoder: sse.EventDecoder, data: bytes) -> list[str]:
    try:
        return decoder.feed(data)
    except ValueError as error:
        raise UnexpectedResponse(str(error)) from None
