"""The caller of a request: whose cached state it may share, its deadline and priority."""

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
from flamingo_common.wire.priority import Priority, priority_of


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's caller."""

    salt: bytes = b""
    """The name of their key: only callers of the same name share KV and encoded audio."""
    deadline_s: float = math.inf
    """When the response is no longer useful, on the monotonic clock."""
    priority: Priority = Priority.NORMAL

    @property
    def until_deadline_s(self) -> float:
        """Seconds until the deadline; infinite without one."""
        return self.deadline_s - time.monotonic()

    @contextlib.asynccontextmanager
    async def enforce_deadline(self) -> AsyncIterator[None]:
        """Cancel the block at the deadline.

        Raises:
            DeadlineExceeded: the deadline passed before the block ended.
        """
        # asyncio's clock is the monotonic one.
        when = None if self.deadline_s == math.inf else self.deadline_s
        try:
            async with asyncio.timeout_at(when) as limit:
                yield
        except TimeoutError:
            if limit.expired():
                raise DeadlineExceeded("the request's deadline has passed") from None
            raise


ANONYMOUS = Caller()
"""The caller of every request to a pod without API keys."""


def from_request(request: web.Request) -> Caller:
    """Return the caller of `request`.

    Raises:
        BadRequest: the deadline or the priority is not valid.
    """
    key, priority = auth.caller(request), priority_of(request.headers)
    until_s = deadline_s(request.headers, now_s=time.monotonic())
    salt = b"" if key is None else key.name.encode()
    return Caller(salt, until_s or math.inf, priority)
