"""Server-sent events, as OpenAI's clients read them.

Each event is one `data:` line and a blank line; a line that starts with a colon
is a comment, which every client skips; `data: [DONE]` ends a stream.

Pure: text in, text out.
"""

DONE = b"data: [DONE]\n\n"
MAX_EVENT_BYTES = 16 * 2**20
"""An event that never ends must not fill a client's memory."""


def encode_event(payload: str) -> bytes:
    """Return the frame of one JSON `payload`, which holds no raw newline."""
    return b"data: " + payload.encode() + b"\n\n"


def encode_comment(text: str) -> bytes:
    """Return a comment: a heartbeat that keeps proxies and clients from giving up."""
    return b": " + text.encode() + b"\n\n"


class EventDecoder:
    """Bytes as they arrive → payloads, whole; the last one is `"[DONE]"`."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        """Return the payloads that `chunk` completes.

        Raises:
            ValueError: an event grew over `MAX_EVENT_BYTES`.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise ValueError(f"a server-sent event is longer than {MAX_EVENT_BYTES} bytes")
        data = (line.removesuffix(b"\r") for line in lines if line.startswith(b"data:"))
        return [line[5:].strip().decode() for line in data]
