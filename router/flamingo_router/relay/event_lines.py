"""A stream of events, cut at line ends only.

A client can do nothing with half a line, so holding it back costs no time; and when
the pod dies, what the client has is whole, and an error can be appended.

Pure.
"""

MAX_HELD_BYTES = 256 * 1024
"""A longer line (an embedding) goes through in pieces."""


class Lines:
    """Chunks as they come → chunks that end with a line."""

    def __init__(self) -> None:
        self.is_cut = False
        """Whether part of a line has gone out without its end."""
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return what can be sent now."""
        end = chunk.rfind(b"\n") + 1
        if end:
            ready, self._held = self._held + chunk[:end], chunk[end:]
            self.is_cut = False
        elif len(self._held) + len(chunk) > MAX_HELD_BYTES:
            ready, self._held = self._held + chunk, b""
            self.is_cut = True
        else:
            ready, self._held = b"", self._held + chunk
        return ready

    def rest(self) -> bytes:
        """Return what is held back, at the stream's end."""
        return self._held
