"""Sends requests about clips: with the clip's id while the fleet holds it, otherwise with the clip.

Whether the fleet still holds a clip, only a request shows. If it does not, the same request is sent
with the clip, and the caller notices nothing but the time that the upload takes.
"""

import dataclasses
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

import aiohttp

from flamingo.client import streams
from flamingo.client.clip_memory import ClipMemory
from flamingo.client.sources import Clip, ClipId
from flamingo.client.transport import ApiRequest, OnResponse, Transport
from flamingo_common.errors import ClipNotHeld
from flamingo_common.wire import AUDIO_ID_HEADER

T = TypeVar("T")


class ClipReuse:
    """Sends the requests of one client."""

    def __init__(self, transport: Transport, *, is_enabled: bool) -> None:
        self._transport = transport
        self._memory = ClipMemory() if is_enabled else None

    async def fetch(self, request: ApiRequest, parse: Callable[[bytes], T]) -> T:
        """Return the parsed response to `request`; see `Transport.fetch`."""
        if (by_id := await self._by_id(request)) is not None:
            try:
                return await self._transport.fetch(by_id, parse)
            except ClipNotHeld:
                self._forget(by_id)
        sent = _Sent(request)
        return await self._transport.fetch(sent.request, parse, on_response=self._recorder(sent))

    async def events(self, request: ApiRequest) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of a stream; see `Transport.open_response`."""
        if (by_id := await self._by_id(request)) is not None:
            try:
                async with self._transport.open_response(by_id) as response:
                    async for event in streams.read_events(response):
                        yield event
            except ClipNotHeld:  # only ever in the place of the first event
                self._forget(by_id)
            else:
                return
        sent = _Sent(request)
        async with self._transport.open_response(sent.request) as response:
            self._recorder(sent)(response)
            async for event in streams.read_events(response):
                yield event

    async def _by_id(self, request: ApiRequest) -> ApiRequest | None:
        if self._memory is None or not isinstance(request.clip, Clip):
            return None
        clip_id = await self._memory.find(request.clip)
        return None if clip_id is None else dataclasses.replace(request, clip=clip_id)

    def _forget(self, by_id: ApiRequest) -> None:
        if self._memory is not None and isinstance(by_id.clip, ClipId):
            self._memory.forget(by_id.clip)

    def _recorder(self, sent: "_Sent") -> OnResponse:
        def record(response: aiohttp.ClientResponse) -> None:
            clip_id = response.headers.get(AUDIO_ID_HEADER)
            if self._memory is not None and clip_id is not None and sent.digest is not None:
                self._memory.record(sent.size_bytes, sent.digest, ClipId(clip_id))

        return record


class _Sent:
    """A request with its clip, and the digest of that once it was sent."""

    def __init__(self, request: ApiRequest) -> None:
        self.request, self.size_bytes = request, 0
        self.digest: bytes | None = None
        if isinstance(request.clip, Clip):
            self.size_bytes = request.clip.size_bytes
            clip = dataclasses.replace(request.clip, on_sent=self._on_sent)
            self.request = dataclasses.replace(request, clip=clip)

    def _on_sent(self, digest: bytes) -> None:
        self.digest = digest
