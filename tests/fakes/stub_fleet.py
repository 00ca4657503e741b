"""A server that answers at the least cost: every request with a caption and its number.

`python stub_fleet.py FD` serves a listening socket. It reads bodies by their Content-Length.
"""

import asyncio
import itertools
import json
import socket
import sys

from flamingo_common.wire import responses

USAGE = responses.Usage(
    prompt_tokens=800,
    completion_tokens=40,
    total_tokens=840,
    prompt_tokens_details=responses.PromptTokensDetails(audio_tokens=750, text_tokens=50),
    audio_seconds=30.0,
)
CAPTION = responses.Caption(
    id="cap-1",
    created=0,
    model="stub",
    caption="0000000000. " + "A slow waltz in A minor for strings and a distant piano. " * 5,
    finish_reason="stop",
    usage=USAGE,
)


class Connection(asyncio.Protocol):
    """One connection; requests come one after the other."""

    numbers = itertools.count(1)

    def __init__(self, response: bytes) -> None:
        self._response = response
        self._head = b""
        self._num_missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._num_missing:
            self._head += data
            head, separator, data = self._head.partition(b"\r\n\r\n")
            if not separator:
                return
            self._head = b""
            self._num_missing = int(head.lower().partition(b"content-length:")[2].split()[0])
        self._num_missing -= len(data)
        if not self._num_missing:
            number = b"%010d" % next(self.numbers)
            self._transport.write(self._response.replace(b"0000000000", number, 1))


async def serve(fd: int) -> None:
    body = json.dumps(responses.to_json_dict(CAPTION)).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    listener = socket.socket(fileno=fd)
    server = await loop.create_server(lambda: Connection(head.encode() + body), sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
