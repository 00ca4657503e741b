"""Many pods without work in one process: reports, short answers and slow streams at the least cost.

`python idle_pods.py NUM_PODS PORT` serves that port on 127.1.0.0, 127.1.0.1 and so on.
"""

import asyncio
import ipaddress
import itertools
import json
import sys

from flamingo_common.wire.report import LoadReport

FIRST = ipaddress.IPv4Address("127.1.0.1")
EVENT_INTERVAL_S = 1.0
NUM_EVENTS = 600
ANSWER = b'{"choices": [{"message": {"role": "assistant", "content": "In A minor."}}]}'
EVENT = b'data: {"choices": [{"delta": {"content": "word "}}]}\n\n'


def addresses(num_pods: int) -> list[str]:
    """Return the loopback addresses of the pods."""
    return [str(FIRST + number) for number in range(num_pods)]


class Connection(asyncio.Protocol):
    """One connection; each request is answered when its last byte has arrived."""

    sequences = itertools.count(1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        if len(body) < int(length or 0):
            return
        self._received = b""
        if head.startswith(b"GET"):
            self._answer(self._report())
        elif b'"stream": true' in body:
            self._begin_stream()
        else:
            self._answer(ANSWER)

    def _report(self) -> bytes:
        sequence = next(self.sequences)
        address = self._transport.get_extra_info("sockname")[0]
        report = LoadReport(
            model="stub",
            state="ready",
            epoch=address,
            sequence=sequence,
            backlog_s=0.0,
            queued_s=0.0,
            num_running=0,
            num_waiting=0,
            window_s=0.1,
            token_s=0.01,
        )
        return report.model_dump_json().encode()

    def _answer(self, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        self._transport.write(head.encode() + b"\r\n\r\n" + body)

    def _begin_stream(self) -> None:
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked"
        self._transport.write(head.encode() + b"\r\n\r\n")
        self._continue_stream(NUM_EVENTS)

    def _continue_stream(self, num_left: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(b"%x\r\n%s\r\n" % (len(EVENT), EVENT))
        if num_left > 1:
            loop = asyncio.get_running_loop()
            loop.call_later(EVENT_INTERVAL_S, self._continue_stream, num_left - 1)
        else:
            done = b"data: [DONE]\n\n"
            self._transport.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(done), done))


async def serve(num_pods: int, port: int) -> None:
    """Serve until the process is killed; print a line when all pods listen."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, addresses(num_pods), port)
    sys.stdout.write(json.dumps({"num_pods": len(server.sockets)}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
