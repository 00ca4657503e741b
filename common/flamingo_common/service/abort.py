"""Ends the requests in flight with an error when a service stops waiting for them.

After a second signal, or at the end of the grace period, `abort_requests` cancels every handler.
`as_error` turns that into an error of the API: a response, or the last event of a stream.
"""

import asyncio
import contextlib
from collections.abc import Iterator

from aiohttp import web

from flamingo_common import errors

ABORTED = web.AppKey("aborted", asyncio.Event)
"""Set once the requests in flight are being aborted."""
TIMEOUT_S = 2.0
"""Seconds for a last event or response to be written."""
MESSAGE = "the server is shutting down and does not wait longer for this request; retry"
RETRY_AFTER_S = 1.0


@contextlib.contextmanager
def as_error(request: web.Request) -> Iterator[None]:
    """Raise `Draining` when the block is cancelled because the requests are being aborted.

    A handler is also cancelled when its client disconnects; that stays a cancellation.
    """
    try:
        yield
    except asyncio.CancelledError:
        if not request.app[ABORTED].is_set():
            raise
        task = asyncio.current_task()
        assert task is not None  # only a task can be cancelled
        task.uncancel()
        raise errors.Draining(MESSAGE, retry_after_s=RETRY_AFTER_S) from None
