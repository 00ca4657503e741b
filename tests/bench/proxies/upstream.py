"""An upstream that costs next to nothing: HTTP/1.1 by hand, every response made in advance.

It accepts any body with a length. It responds to a chat at once, and to one with a stream with
`NUM_EVENTS` events, one every `EVENT_S`.

    python upstream.py FD NUM_EVENTS EVENT_S
"""

import asyncio
import json
import re
import socket
import sys

HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
STREAM = re.compile(rb'"stream": ?true')
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "bench",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "a quiet song " * 12},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 36, "total_tokens": 48},
}
EVENT = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "bench",
    "choices": [{"index": 0, "delta": {"content": " quiet"}, "finish_reason": None}],
}
STATS = {
    "model": "bench",
    "state": "ready",
    "epoch": "1",
    "sequence": 1,
    "backlog_s": 0.0,
    "num_running": 0,
    "num_waiting": 0,
}


def whole(value: object) -> bytes:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + HEAD_END + body


def chunk(body: bytes) -> bytes:
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"


CHAT, OTHER, LOAD = whole(ANSWER), whole({"object": "list", "data": []}), whole(STATS)
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
ONE_EVENT = chunk(b"data: " + json.dumps(EVENT).encode() + b"\n\n")
LAST = chunk(b"data: [DONE]\n\n") + chunk(b"")


class Upstream(asyncio.Protocol):
    """One connection."""

    def __init__(self, num_events: int, event_s: float) -> None:
        self.num_events, self.event_s = num_events, event_s
        self.head, self.left, self.is_stream = b"", 0, False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.left:
            self.left -= len(data)
        else:
            self.head += data
            if HEAD_END not in self.head:
                return
            length = LENGTH.search(self.head)
            body = self.head.partition(HEAD_END)[2]
            self.left = int(length[1]) - len(body) if length else 0
            self.is_stream = STREAM.search(body[:4096]) is not None
        if self.left == 0:
            self.answer(self.head[:64])
            self.head = b""

    def answer(self, line: bytes) -> None:
        if line.startswith(b"GET"):
            self.transport.write(LOAD if b"/stats" in line else OTHER)
        elif self.is_stream:
            self.transport.write(STREAM_HEAD)
            self.send_events(self.num_events)
        else:
            self.transport.write(CHAT)

    def send_events(self, num_left: int) -> None:
        if not num_left:
            self.transport.write(LAST)
            return
        self.transport.write(ONE_EVENT)
        asyncio.get_running_loop().call_later(self.event_s, self.send_events, num_left - 1)


async def main(listener: socket.socket, num_events: int, event_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(num_events, event_s), sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), float(sys.argv[3])))
