"""A streamed answer: server-sent events → words, as they come.

Whatever ends a stream before its `[DONE]` is an error: half an answer is never
passed off as a whole one.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from flamingo.client.failures import UnexpectedAnswer
from flamingo_common import errors
from flamingo_common.wire import responses, sse

END_S = 1.0
"""How long a server may take from `[DONE]` to the end of its answer."""


@dataclass(frozen=True)
class Chunk:
    """One event, chat's and caption's alike."""

    text: str
    finish_reason: responses.FinishReason | None
    usage: responses.Usage | None


class AsyncTextStream:
    """The words of one answer: `async for words in stream: …`.

    Leaving early is allowed: `async with` (or `aclose`) ends the request, and
    the fleet stops working on it.
    """

    def __init__(self, chunks: AsyncGenerator[Chunk, None]) -> None:
        self._chunks = chunks
        self.finish_reason: responses.FinishReason | None = None
        """`length` when the answer was cut at `max_tokens`; None before the end."""
        self.usage: responses.Usage | None = None
        """What the request took; None before the end."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        async for chunk in self._chunks:
            self.finish_reason = chunk.finish_reason or self.finish_reason
            self.usage = chunk.usage or self.usage
            if chunk.text:
                return chunk.text
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the request."""
        await self._chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """Yield each event's JSON object.

    Raises:
        UpstreamLost: the stream ended early.
        UnexpectedAnswer: an event never ends.
        FlamingoError: what the server told in the stream.
    """
    decoder = sse.EventDecoder()
    async for data in response.content.iter_any():
        for text in _fed(decoder, data):
            if text == "[DONE]":
                await _read_to_end(response)
                return
            event = _object(text)
            if "error" in event:
                raise errors.from_response(errors.InternalError.status, text.encode())
            yield event
    raise errors.UpstreamLost("the stream ended before the answer was complete")


def caption_chunk(event: dict[str, Any]) -> Chunk:
    """Return one event of a caption stream."""
    chunk = responses.CaptionChunk.model_validate(event)
    return Chunk(chunk.delta, chunk.finish_reason, chunk.usage)


def chat_chunk(event: dict[str, Any]) -> Chunk:
    """Return one event of a chat stream; the one with the usage has no choices."""
    chunk = responses.ChatCompletionChunk.model_validate(event)
    if not chunk.choices:
        return Chunk("", None, chunk.usage)
    choice = chunk.choices[0]
    return Chunk(choice.delta.content or "", choice.finish_reason, chunk.usage)


async def _read_to_end(response: aiohttp.ClientResponse) -> None:
    """Let the server finish: to leave right after `[DONE]` looks to it like giving up."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(END_S):
            await response.read()


def _object(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise UnexpectedAnswer(f"an event of the stream is no JSON object: {text[:80]!r}")
    return event


def _fed(decoder: sse.EventDecoder, data: bytes) -> list[str]:
    try:
        return decoder.feed(data)
    except ValueError as error:
        raise UnexpectedAnswer(str(error)) from None
