"""The requests of the chaos run, each with the answer that a quiet fleet gave."""

import asyncio
import io
import json
import random
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import numpy as np

RATE_HZ, OK = 16_000, 200
CAPTIONS, CHAT, EMBEDDINGS = "/v1/audio/captions", "/v1/chat/completions", "/v1/audio/embeddings"
KINDS = {
    "caption": CAPTIONS,
    "caption, stream": CAPTIONS,
    "chat, stream": CHAT,
    "chat, cancelled": CHAT,
    "embedding": EMBEDDINGS,
    "slow upload": CAPTIONS,
}
CANCEL_AFTER, MAX_TOKENS = 3, 200
SLOW_PARTS, SLOW_PART_S = 8, 0.5
TOLERANCE = 1e-3
"""Of an embedding, relative to its largest value: the batch that it is in changes roundings."""


@dataclass
class Item:
    """One request, and its answer."""

    kind: str
    body: bytes
    content_type: str
    expected: object = None

    @property
    def is_stream(self) -> bool:
        return self.kind.endswith(("stream", "cancelled"))


@dataclass
class Response:
    """What came back from one router."""

    status: int | None = None
    code: str | None = None
    """The error's; also of an event within a stream."""
    retry_after_s: float = 1.0
    words: list[str] = field(default_factory=list)
    value: object = None
    """Text or embedding; None: there is no complete answer."""
    was_connected: bool = False


def items(dice: random.Random, number: int) -> list[Item]:
    """Return requests of all kinds in turn, about clips of 1 to 8 s."""
    return [_item(list(KINDS)[n % len(KINDS)], dice) for n in range(number)]


def _item(kind, dice):
    num = int(dice.uniform(1, 8) * RATE_HZ)
    samples = np.random.default_rng(dice.randrange(2**32)).normal(0, 3000, num).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setparams((1, 2, RATE_HZ, num, "NONE", ""))
        target.writeframes(samples.tobytes())
    fields = {"max_tokens": str(dice.randint(4, MAX_TOKENS)), "temperature": "0"}
    if kind == "embedding":
        fields = {"pooling": "mean"}
    if kind.endswith(("stream", "cancelled")):
        fields["stream"] = "true"
    if KINDS[kind] == CHAT:
        fields["prompt"] = f"What is heard {dice.randrange(100)} s in?"
    boundary = "chaos"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n\r\n'
    )
    body = "".join(parts).encode() + head.encode() + file.getvalue()
    body += f"\r\n--{boundary}--\r\n".encode()
    return Item(kind, body, f"multipart/form-data; boundary={boundary}")


async def send(client: aiohttp.ClientSession, address: str, item: Item) -> Response:
    """Send an item to a router; return what came back, whatever that is."""
    got = Response()
    headers = {"Content-Type": item.content_type, "Content-Length": str(len(item.body))}
    data = _slowly(item.body) if item.kind == "slow upload" else item.body
    try:
        async with client.post(address + KINDS[item.kind], data=data, headers=headers) as response:
            got.was_connected, got.status = True, response.status
            if response.status != OK:
                await _read_refusal(response, got)
            elif item.is_stream:
                await _read_stream(response, item, got)
            else:
                await _read(response, item, got)
    except aiohttp.ClientConnectorError:
        pass
    except (aiohttp.ClientError, ConnectionError):
        got.was_connected = True
    return got


async def _slowly(body: bytes) -> AsyncIterator[bytes]:
    part = len(body) // SLOW_PARTS + 1
    for start in range(0, len(body), part):
        yield body[start : start + part]
        await asyncio.sleep(SLOW_PART_S)


async def _read(response, item, got):
    body = json.loads(await response.read())
    if item.kind == "embedding":
        got.value = np.asarray(body["data"][0]["embedding"])
    else:
        got.value = (body["caption"], body["finish_reason"])


async def _read_stream(response, item, got):
    async for line in response.content:
        if not line.startswith(b"data: "):
            continue
        if line.startswith(b"data: [DONE]"):
            got.value = "".join(got.words)
            continue
        event = json.loads(line[6:])
        if "error" in event:
            got.code = event["error"]["code"]
            return
        if word := _word(event):
            got.words.append(word)
        if item.kind == "chat, cancelled" and len(got.words) == CANCEL_AFTER:
            got.value = "".join(got.words)
            response.close()
            return


def _word(event):
    if "choices" not in event:
        return event.get("delta")
    return event["choices"][0]["delta"].get("content") if event["choices"] else None


async def _read_refusal(response, got):
    got.code = json.loads(await response.read())["error"]["code"]
    got.retry_after_s = float(response.headers.get("Retry-After", 1.0))


def is_right(item: Item, value: object) -> bool:
    """Whether a complete answer is the one of the quiet fleet."""
    if item.kind == "embedding":
        expected = item.expected
        largest = np.abs(expected).max()
        return (
            value.shape == expected.shape and np.abs(value - expected).max() <= TOLERANCE * largest
        )
    if item.kind == "chat, cancelled":
        return str(item.expected).startswith(value)
    return value == item.expected


def is_beginning(item: Item, words: list[str]) -> bool:
    """Whether the words of a stream that was cut begin the answer of the quiet fleet."""
    return str(item.expected).startswith("".join(words))
