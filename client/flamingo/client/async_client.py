"""Call a fleet from asyncio: `async with AsyncFlamingoClient(address) as client: …`.

What a method takes goes to the server as it is; what comes back is the server's
answer, typed. `FlamingoClient` is the same for code without an event loop.
"""

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncGenerator, Callable
from importlib import metadata
from typing import Any, Self, TypedDict, TypeVar, Unpack

from flamingo.client import address, fields, results, sources, streams
from flamingo.client.fields import Fields, Messages, Sampling
from flamingo.client.results import Analysis, Embedding, Reply
from flamingo.client.sources import Audio
from flamingo.client.streams import AsyncTextStream, Chunk
from flamingo.client.transport import Call, Manners, Sleep, Transport
from flamingo_common.wire import report, responses
from flamingo_common.wire.requests import Layer, Pooling, Style

CHAT = "/v1/chat/completions"
CAPTIONS = "/v1/audio/captions"
EMBEDDINGS = "/v1/audio/embeddings"
ANALYZE = "/v1/audio/analyze"

T = TypeVar("T")


class Options(TypedDict, total=False):
    """How a client connects, beside where to."""

    api_key: str | None
    timeout_s: float
    max_retries: int
    sleep: Sleep


class AsyncFlamingoClient:
    """A fleet, or one pod, at one address.

    Use it within one event loop. Every method raises `flamingo_common.errors`' classes
    as the server raised them, with `request_id` set.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = 600,
        max_retries: int = 2,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Take where the fleet is and how to treat it; nothing is sent yet.

        Args:
            base_url: with or without `/v1`; else `FLAMINGO_URL`, else port 8000 here.
            api_key: else `FLAMINGO_API_KEY`, else none is sent.
            timeout_s: seconds without a byte from the server before giving up.
            max_retries: how often to send again what failed before an answer began.
            sleep: waits between attempts.

        Raises:
            BadRequest: `base_url` is no http(s) address.
        """
        root = address.root(base_url or os.environ.get("FLAMINGO_URL") or address.DEFAULT)
        key = api_key or os.environ.get("FLAMINGO_API_KEY")
        self._transport = Transport(root, _headers(key), Manners(timeout_s, max_retries, sleep))

    @property
    def base_url(self) -> str:
        """Where the fleet is."""
        return self._transport.root

    async def caption(
        self,
        audio: Audio,
        *,
        style: Style = "detailed",
        prompt: str | None = None,
        **sampling: Unpack[Sampling],
    ) -> responses.Caption:
        """Return `audio` in words; `prompt` replaces the style's own."""
        asked = fields.given(style=style, prompt=prompt, **sampling)
        parse = responses.Caption.model_validate_json
        return await self._sent(CAPTIONS, asked, audio, parse)

    def stream_caption(
        self,
        audio: Audio,
        *,
        style: Style = "detailed",
        prompt: str | None = None,
        **sampling: Unpack[Sampling],
    ) -> AsyncTextStream:
        """Return `audio` in words, as they come."""
        asked = fields.given(style=style, prompt=prompt, stream=True, **sampling)
        return AsyncTextStream(self._chunks(CAPTIONS, asked, audio, streams.caption_chunk))

    async def embed(
        self,
        audio: Audio,
        *,
        layer: Layer = "encoder",
        pooling: Pooling = "none",
        model: str | None = None,
        truncate: bool | None = None,
    ) -> Embedding:
        """Return `audio` as numbers: a row a frame, or one row with `pooling="mean"`."""
        which = fields.given(layer=layer, pooling=pooling, model=model, truncate=truncate)
        asked = fields.given(**which, encoding_format="base64")
        return await self._sent(EMBEDDINGS, asked, audio, results.parse_embedding)

    async def analyze(
        self,
        audio: Audio,
        *,
        style: Style = "detailed",
        prompt: str | None = None,
        layer: Layer = "encoder",
        pooling: Pooling = "none",
        **sampling: Unpack[Sampling],
    ) -> Analysis:
        """Return `audio` in words and as numbers, from one listening."""
        embedding = fields.given(layer=layer, pooling=pooling, encoding_format="base64")
        asked = fields.given(style=style, prompt=prompt, **embedding, **sampling)
        return await self._sent(ANALYZE, asked, audio, results.parse_analysis)

    async def chat(
        self,
        messages: Messages,
        *,
        audio: Audio | None = None,
        **sampling: Unpack[Sampling],
    ) -> Reply:
        """Return the answer to `messages`, in OpenAI's form.

        `audio` joins the first user message; messages may also hold audio parts
        of their own.
        """
        asked = fields.given(messages=list(messages), **sampling)
        return await self._sent(CHAT, asked, audio, Reply.model_validate_json)

    def stream_chat(
        self,
        messages: Messages,
        *,
        audio: Audio | None = None,
        **sampling: Unpack[Sampling],
    ) -> AsyncTextStream:
        """Return the answer to `messages`, as it comes."""
        usage = {"include_usage": True}
        asked = fields.given(messages=list(messages), stream=True, stream_options=usage, **sampling)
        return AsyncTextStream(self._chunks(CHAT, asked, audio, streams.chat_chunk))

    async def ask(
        self,
        audio: Audio,
        question: str,
        *,
        system: str | None = None,
        **sampling: Unpack[Sampling],
    ) -> Reply:
        """Return the answer to one question about `audio`."""
        return await self.chat(fields.question(question, system=system), audio=audio, **sampling)

    async def models(self) -> list[responses.ModelCard]:
        """Return the models served, with what they take."""
        parse = responses.ModelList.model_validate_json
        return (await self._transport.read(Call("/v1/models"), parse)).data

    async def fleet(self) -> report.FleetReport:
        """Return the router's view of its pods.

        Raises:
            NotFound: a pod answers at this address, not a router.
        """
        return await self._transport.read(Call("/fleet"), report.FleetReport.model_validate_json)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _sent(
        self, path: str, asked: Fields, audio: Audio | None, parse: Callable[[bytes], T]
    ) -> T:
        async with self._clip(audio) as clip:
            return await self._transport.read(Call(path, asked, clip), parse)

    async def _chunks(
        self,
        path: str,
        asked: Fields,
        audio: Audio | None,
        parse: Callable[[dict[str, Any]], Chunk],
    ) -> AsyncGenerator[Chunk, None]:
        async with (
            self._clip(audio) as clip,
            self._transport.answer(Call(path, asked, clip)) as response,
        ):
            async for event in streams.events(response):
                yield parse(event)

    def _clip(
        self, audio: Audio | None
    ) -> contextlib.AbstractAsyncContextManager[sources.Clip | None]:
        if audio is None:
            return contextlib.nullcontext()
        return sources.opened(audio, self._transport.fetch)


@functools.cache
def _version() -> str:
    return metadata.version("flamingo-fleet")


def _headers(api_key: str | None) -> dict[str, str]:
    headers = {"User-Agent": f"flamingo-fleet/{_version()}"}
    return {**headers, "Authorization": f"Bearer {api_key}"} if api_key else headers
