"""Relays a stream of events in whole lines.

A client can do nothing with half a line, so buffering it costs no time. When the pod
crashes, the client has only whole lines, and an error event can be appended.

Pure.
"""

import re

DONE = re.compile(
    rb'^data: ?(?:\[DONE\]\r?$|\{"type":"response\.(?:completed|incomplete)")', re.MULTILINE
)
"""The last event of a stream that is complete; that of `/v1/responses` has a type."""
MAX_LINE_BYTES = 256 * 1024
"""A longer line (an embedding) is relayed in parts."""


class EventLines:
    """Takes chunks as they arrive, and returns chunks that end with a line."""

    def __init__(self) -> None:
        self.is_mid_line = False
        """Whether a part of a line was relayed without its end."""
        self.is_done = False
        """Whether the last event was relayed, so that the response is complete."""
        self._pending = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return what can be relayed now, possibly nothing."""
        end = chunk.rfind(b"\n") + 1
        if end:
            ready, self._pending = self._pending + chunk[:end], chunk[end:]
            self.is_mid_line = False
            self.is_done = self.is_done or DONE.search(ready) is not None
        elif len(self._pending) + len(chunk) > MAX_LINE_BYTES:
            ready, self._pending = self._pending + chunk, b""
            self.is_mid_line = True
        else:
            ready, self._pending = b"", self._pending + chunk
        return ready

    def rest(self) -> bytes:
        """Return what is still buffered at the end of the stream."""
        return self._pending
