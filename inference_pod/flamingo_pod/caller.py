"""Who asks: what his requests may share with others', and how long he waits."""

import asyncio
import contextlib
import math
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from flamingo.errors import BadRequest, DeadlineExceeded
from flamingo.service import access
from flamingo.wire import DEADLINE_HEADER

MAX_DEADLINE_MS = 86_400_000
_MILLISECONDS = re.compile(r"[0-9]{1,8}")


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


NOBODY = Caller()
"""Everybody, where no keys are asked for."""


def of(request: web.Request) -> Caller:
    """Return who sent `request`.

    Raises:
        BadRequest: the deadline is no number of milliseconds.
    """
    key = access.caller(request)
    return Caller(b"" if key is None else key.name.encode(), _deadline_s(request))


def _deadline_s(request: web.Request) -> float:
    text = request.headers.get(DEADLINE_HEADER)
    if text is None:
        return math.inf
    if not _MILLISECONDS.fullmatch(text) or not 1 <= int(text) <= MAX_DEADLINE_MS:
        raise BadRequest(
            f"{DEADLINE_HEADER} is a number of milliseconds, 1 to {MAX_DEADLINE_MS}",
            param=DEADLINE_HEADER,
        )
    return time.monotonic() + int(text) / 1000
