"""Who asks: what his requests may share with others', and how long he waits."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from flamingo_common.errors import DeadlineExceeded
from flamingo_common.service import auth
from flamingo_common.wire.deadline import deadline_s


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's caller."""

    salt: bytes = b""
    """His key's name: callers of another name share neither KV nor encoded audio with him."""
    deadline_s: float = math.inf
    """When an answer is of no use any more, by the monotonic clock."""

    def check(self, backlog_s: float) -> None:
        """Refuse what cannot be answered in time.

        Raises:
            DeadlineExceeded: so much work comes before it that it would be too late.
        """
        if time.monotonic() + backlog_s > self.deadline_s:
            raise DeadlineExceeded(f"this pod holds {backlog_s:.1f} s of work before it")

    @contextlib.asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Do the block before the deadline.

        Raises:
            DeadlineExceeded: it would have taken longer.
        """
        # asyncio's clock is the monotonic one.
        when = None if self.deadline_s == math.inf else self.deadline_s
        try:
            async with asyncio.timeout_at(when) as limit:
                yield
        except TimeoutError:
            if limit.expired():
                raise DeadlineExceeded("the deadline has passed") from None
            raise


ANONYMOUS = Caller()
"""Everybody, where no keys are asked for."""


def from_request(request: web.Request) -> Caller:
    """Return who sent `request`.

    Raises:
        BadRequest: the deadline is no number of milliseconds.
    """
    key = auth.caller(request)
    until_s = deadline_s(request.headers, now_s=time.monotonic())
    return Caller(b"" if key is None else key.name.encode(), until_s or math.inf)
