"""A request's body: read from the client once, as it arrives; read again while it is small.

What has been read is kept, so that a request can go to another pod: `replay_buffer_bytes`
in memory, and what is over on disk, where a spool has room. Otherwise only what is on
its way is kept: a body is never held whole.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import hdrs, web

from flamingo_common import errors
from flamingo_router.request.spool import Spilled, Spool


@dataclass(frozen=True, slots=True)
class Limits:
    """How large, how slow, and how much of it is kept."""

    max_body_bytes: int
    replay_buffer_bytes: int
    body_idle_s: float
    spool: Spool


class Body:
    """See the module. Chunks are numbered; each is handed out again while it is kept."""

    def __init__(self, request: web.Request, limits: Limits) -> None:
        """Take charge of the body of `request`.

        Raises:
            RequestTooLarge: it declares more than the limit.
        """
        is_packed = hdrs.CONTENT_ENCODING in request.headers  # aiohttp unpacks it
        self.total_bytes = None if is_packed else request.content_length
        self.num_read = 0
        self.is_ended = not request.can_read_body
        self.fault: Exception | None = None
        """Why the client's half failed; it is no fault of a pod."""
        self._request = request
        self._limits = limits
        self._max_kept = limits.replay_buffer_bytes
        self._kept: list[bytes] = []
        self._num_kept_bytes = 0
        self._spilled = Spilled(limits.spool)
        self._first_kept = 0
        """The number of the first chunk in memory; those before are on disk, or gone."""
        self._reading = asyncio.Lock()
        self._is_wanted = False
        self._check(self.total_bytes or 0)

    @property
    def is_replayable(self) -> bool:
        """Whether all that was read is still kept."""
        return self._spilled.num_chunks == self._first_kept and not (
            self._first_kept and self._spilled.is_closed
        )

    @property
    def unread_bytes(self) -> int | None:
        """How many bytes are still to come; None when that is unknown."""
        if self.is_ended:
            return 0
        return None if self.total_bytes is None else self.total_bytes - self.num_read

    def forget(self) -> None:
        """Keep nothing for another try: a pod has answered."""
        self._max_kept = 0
        self._spilled.close()

    def close(self) -> None:
        """Let go of what is kept."""
        self._kept.clear()
        self._spilled.close()

    def whole(self) -> bytes | None:
        """Return the body, if it has arrived and is kept."""
        return b"".join(self._kept) if self.is_ended and not self._first_kept else None

    async def chunk(self, number: int) -> bytes:
        """Return a chunk, once it is there; b"" past the last.

        Raises:
            RequestTooLarge: the body has grown over the limit.
            BodyTimeout: the client sent nothing for too long.
        """
        # The lock lets a try that is just being cancelled leave the stream first.
        async with self._reading:
            if number == self._first_kept + len(self._kept) and not self.is_ended:
                await self._receive()
            if number < self._first_kept:
                return await self._spilled.read(number)
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
            chunk = await self._next()
        except Exception as fault:
            self.fault = fault
            raise
        self.is_ended = self._request.content.at_eof()
        if chunk:
            self._kept.append(chunk)
            self._num_kept_bytes += len(chunk)

    async def _next(self) -> bytes:
        await self._say_continue()
        try:
            async with asyncio.timeout(self._limits.body_idle_s):
                chunk = await self._request.content.readany()
        except TimeoutError:
            idle_s = self._limits.body_idle_s
            raise errors.BodyTimeout(f"no byte of the body came for {idle_s:g} s") from None
        except web.RequestPayloadError:
            raise errors.BadRequest("the body is not encoded as its headers say") from None
        self.num_read += len(chunk)
        self._check(self.num_read)
        return chunk

    async def _say_continue(self) -> None:
        """Answer `Expect: 100-continue` when the body is wanted, so that a refusal comes first."""
        if self._is_wanted:
            return
        self._is_wanted = True
        if self._request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            writer = self._request.writer
            await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            writer.output_size = 0  # as aiohttp's own handler does: the answer is yet to come

    def _check(self, num_bytes: int) -> None:
        limit = self._limits.max_body_bytes
        if num_bytes > limit:
            raise errors.RequestTooLarge(f"the body is over this server's limit of {limit} bytes")

    async def _make_room(self, num_chunks: int) -> None:
        """Put the first chunks in memory on disk, or forget them."""
        async with self._reading:
            gone = self._kept[:num_chunks]
            if not (self.is_replayable and await self._spilled.append(gone)):
                self._spilled.close()
            self._num_kept_bytes -= sum(map(len, gone))
            del self._kept[:num_chunks]
            self._first_kept += num_chunks
