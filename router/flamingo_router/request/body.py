"""A request's body: read from the client once, as it arrives, and kept for a retry.

What has been read is kept so that the request can be sent to another pod:
`replay_buffer_bytes` in memory, and the rest on disk, if the spool has room. Without room
only the chunks that are being sent are kept: a body is never held in memory completely.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_common.service import connection_limits, http
from flamingo_router.request.spool import Spool, SpooledChunks


def _ignore() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Maximum size and idle time of a body, and how much of it is kept."""

    max_body_bytes: int
    replay_buffer_bytes: int
    body_idle_timeout_s: float
    spool: Spool


class Body:
    """One request's body as numbered chunks; each can be read again while it is kept."""

    def __init__(self, request: web.Request, limits: BodyLimits) -> None:
        """Prepare to read the body of `request`.

        Raises:
            RequestTooLarge: its Content-Length exceeds the limit.
        """
        self.total_bytes = request.content_length
        self.num_read = 0
        self.is_ended = not request.can_read_body
        self.error: Exception | None = None
        """Why reading from the client failed, which no pod has caused."""
        self.on_ended: Callable[[], object] = _ignore
        """Called when the last byte has arrived."""
        self._request = request
        self._limits = limits
        self._max_kept = limits.replay_buffer_bytes
        self._kept: list[bytes] = []
        self._num_kept_bytes = 0
        self._spooled = SpooledChunks(limits.spool)
        self._first_kept = 0
        """The number of the first chunk in memory; those before are on disk, or discarded."""
        self._reading = asyncio.Lock()
        self._has_started = False
        self._check_size(self.total_bytes or 0)

    @property
    def is_replayable(self) -> bool:
        """Whether everything that was read is still kept."""
        return self._spooled.num_chunks == self._first_kept and not (
            self._first_kept and self._spooled.is_closed
        )

    @property
    def arrived_share(self) -> float:
        """How much of it has arrived; 0 until its end where its size is unknown."""
        if self.is_ended:
            return 1.0
        return self.num_read / self.total_bytes if self.total_bytes else 0.0

    @property
    def unread_bytes(self) -> int | None:
        """How many bytes are still to come; None when that is unknown."""
        if self.is_ended:
            return 0
        return None if self.total_bytes is None else self.total_bytes - self.num_read

    def discard_replay(self) -> None:
        """Stop keeping chunks for a retry, since a pod has responded."""
        self._max_kept = 0
        self._spooled.close()

    def close(self) -> None:
        """Free everything that is kept."""
        self._kept.clear()
        self._spooled.close()

    def complete(self) -> bytes | None:
        """Return the whole body, if it has arrived and is in memory."""
        return b"".join(self._kept) if self.is_ended and not self._first_kept else None

    async def chunk(self, number: int) -> bytes:
        """Return a chunk as soon as it has arrived; b"" past the last.

        Raises:
            RequestTooLarge: the body exceeds the limit.
            BodyTimeout: the client sent nothing for too long.
            BadRequest: the body is malformed.
        """
        # The lock lets an attempt that is being cancelled leave the stream first.
        async with self._reading:
            if number == self._first_kept + len(self._kept) and not self.is_ended:
                await self._receive()
            if number < self._first_kept:
                return await self._spooled.read(number)
        at = number - self._first_kept
        return self._kept[at] if at < len(self._kept) else b""

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body from its start."""
        number = 0
        while chunk := await self.chunk(number):
            yield chunk
            number += 1
            if self._num_kept_bytes > self._max_kept and number > self._first_kept:
                await self._make_room(number - self._first_kept)

    async def _receive(self) -> None:
        try:
            chunk = await self._read_chunk()
        except Exception as error:
            self.error = error
            raise
        self.is_ended = self._request.content.at_eof()
        if self.is_ended:
            self.on_ended()
        if chunk:
            self._kept.append(chunk)
            self._num_kept_bytes += len(chunk)

    async def _read_chunk(self) -> bytes:
        await self._send_continue()
        idle_s = self._limits.body_idle_timeout_s
        try:
            async with asyncio.timeout(idle_s):
                chunk = await self._request.content.readany()
        except TimeoutError:
            raise errors.BodyTimeout(connection_limits.body_timed_out(idle_s)) from None
        except web.RequestPayloadError:
            raise errors.BadRequest(http.MALFORMED_BODY) from None
        self.num_read += len(chunk)
        self._check_size(self.num_read)
        return chunk

    async def _send_continue(self) -> None:
        """Answer `Expect: 100-continue` when the body is first read, so not before a rejection."""
        if self._has_started:
            return
        self._has_started = True
        if self._request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            writer = self._request.writer
            await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            writer.output_size = 0  # as aiohttp's own handler does: the response is yet to come

    def _check_size(self, num_bytes: int) -> None:
        limit = self._limits.max_body_bytes
        if num_bytes > limit:
            raise errors.RequestTooLarge(http.BODY_TOO_LARGE.format(limit=limit))

    async def _make_room(self, num_chunks: int) -> None:
        """Spool the first chunks in memory to disk, or discard them."""
        async with self._reading:
            chunks = self._kept[:num_chunks]
            if not (self.is_replayable and await self._spooled.append(chunks)):
                self._spooled.close()
            self._num_kept_bytes -= sum(map(len, chunks))
            del self._kept[:num_chunks]
            self._first_kept += num_chunks
