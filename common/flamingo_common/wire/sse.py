"""Server-sent events, in the form that OpenAI's clients read.

Each event is one `data:` line and a blank line. A line that starts with a colon is a comment,
which clients ignore. `data: [DONE]` ends a stream. Those of `/v1/responses` differ: an event has
a line with its name before the data, and the last one says by its name that it is the last.

Pure: text in, text out.
"""

DONE = b"data: [DONE]\n\n"
MAX_EVENT_BYTES = 16 * 2**20
"""Limit of one event, so that an endless one cannot fill a client's memory."""


def encode_event(payload: str, *, name: str | None = None) -> bytes:
    """Return one event with a JSON `payload`, which must not contain a newline."""
    line = b"" if name is None else b"event: " + name.encode() + b"\n"
    return line + b"data: " + payload.encode() + b"\n\n"


def encode_comment(text: str) -> bytes:
    """Return a comment: a heartbeat that keeps proxies and clients from timing out."""
    return b": " + text.encode() + b"\n\n"


class EventDecoder:
    """Decodes a byte stream into event payloads; the last one is `"[DONE]"`."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        """Return the payloads of the events that `chunk` completes.

        Raises:
            ValueError: an event is longer than `MAX_EVENT_BYTES`.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise ValueError(f"a server-sent event exceeds {MAX_EVENT_BYTES} bytes")
        data = (line.removesuffix(b"\r") for line in lines if line.startswith(b"data:"))
        return [line[5:].strip().decode() for line in data]
