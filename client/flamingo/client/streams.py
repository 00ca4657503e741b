"""Streamed responses: server-sent events, parsed into text deltas.

A stream that ends before its `[DONE]` raises an error: an incomplete response is never
returned as a complete one.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from flamingo.client import translation
from flamingo.client.failures import UnexpectedResponse
from flamingo_common import errors
from flamingo_common.wire import responses, sse

CONTENT_TYPE = "text/event-stream"
END_TIMEOUT_S = 1.0
"""Timeout between `[DONE]` and the end of the response."""


@dataclass(frozen=True)
class TextChunk:
    """One event of a caption stream or a chat stream."""

    text: str
    finish_reason: responses.ChatFinishReason | None
    usage: responses.Usage | None


class AsyncTextStream:
    """The text of one response, as deltas: `async for text in stream: …`.

    The iterator may be abandoned at any point: `async with` (or `aclose`) cancels the
    request, and the fleet stops generating.
    """

    def __init__(self, chunks: AsyncGenerator[TextChunk, None]) -> None:
        self._chunks = chunks
        self.finish_reason: responses.ChatFinishReason | None = None
        """`stop`, or `length` when `max_tokens` was reached; None before the end."""
        self.usage: responses.Usage | None = None
        """Tokens and seconds of audio; None before the end."""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop that reads the stream."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        self.loop = asyncio.get_running_loop()
        async for chunk in self._chunks:
            self.finish_reason = chunk.finish_reason or self.finish_reason
            self.usage = chunk.usage or self.usage
            if chunk.text:
                return chunk.text
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancel the request."""
        await self._chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


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


def parse_chat_chunk(event: dict[str, Any]) -> TextChunk:
    """Parse one event of a chat stream; the event with the usage has no choices."""
    chunk = responses.ChatCompletionChunk.model_validate(event)
    if not chunk.choices:
        return TextChunk("", None, chunk.usage)
    choice = chunk.choices[0]
    return TextChunk(choice.delta.content or "", choice.finish_reason, chunk.usage)


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
