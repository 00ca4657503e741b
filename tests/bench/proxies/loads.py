"""The loads that are sent through a proxy: small requests, streams of events, a large upload."""

import asyncio
import base64
import json
import re
import socket
import subprocess
from pathlib import Path

HEADERS = "Host: bench\r\nContent-Type: application/json\r\nAuthorization: Bearer none"
PATH = "/v1/chat/completions"
SCRIPT = """wrk.method = "POST"
wrk.body = {body}
wrk.headers["Content-Type"] = "application/json"
"""
RATE = re.compile(r"Requests/sec: +([\d.]+)")
TOTAL = re.compile(r"(\d+) requests in")
FAILED = re.compile(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)")


class Refused(Exception):
    """The proxy refused this load; the message is its status line."""


def chat(*, stream: bool = False) -> bytes:
    """Return a chat of 1 KB without audio."""
    words = "What key is this song in, and what does the bass do in the second verse? " * 10
    messages = [{"role": "user", "content": words}]
    return json.dumps({"model": "bench", "stream": stream, "messages": messages}).encode()


def long_chats(num_bytes: int) -> dict[str, bytes]:
    """Return chats of about `num_bytes`: with a clip, and as text for those that take no clip."""
    base64_text = base64.b64encode(bytes(num_bytes * 3 // 4)).decode()
    audio = {"type": "input_audio", "input_audio": {"data": base64_text, "format": "wav"}}
    contents = {"": [audio, {"type": "text", "text": "Listen."}], " as text": base64_text}
    return {
        name: json.dumps(
            {"model": "bench", "messages": [{"role": "user", "content": content}]}
        ).encode()
        for name, content in contents.items()
    }


def whole(body: bytes) -> bytes:
    return (
        f"POST {PATH} HTTP/1.1\r\n{HEADERS}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


def small(port: int, folder: Path, seconds: int) -> tuple[int, float]:
    """Run wrk for `seconds` on 16 connections; return the number of responses, and the rate."""
    script = folder / "post.lua"
    script.write_text(SCRIPT.format(body=json.dumps(chat().decode())), encoding="utf-8")
    url = f"http://127.0.0.1:{port}{PATH}"
    command = ["wrk", "-t1", "-c16", f"-d{seconds}s", "-s", str(script), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if failed := FAILED.search(output):
        raise Refused(failed.group(0))
    return int(TOTAL.search(output)[1]), float(RATE.search(output)[1])


async def events(port: int, num_streams: int) -> int:
    """Read `num_streams` streams at once to their ends; return how many events arrived."""
    counts = await asyncio.gather(*(_events(port) for _ in range(num_streams)))
    return sum(counts)


async def _events(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(whole(chat(stream=True)))
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise Refused(head.partition(b"\r\n")[0].decode())
    received = b""
    while b"data: [DONE]" not in received:
        received += (chunk := await reader.read(2**16))
        if not chunk:
            raise Refused("the stream ended early")
    writer.close()
    return received.count(b"data: ") - 1


def upload(port: int, request: bytes) -> None:
    """Send one request, however long, and read its response."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(request)
        head = connection.recv(2**16)
    if not head.startswith(b"HTTP/1.1 200"):
        raise Refused(head.partition(b"\r\n")[0].decode() or "the connection was closed")
