"""The requests of the soak: new clips and cached ones, streams, cancellations, bad input.

Each kind is a coroutine that sends one request and raises `Unexpected` if the response is not
what it must be. Nothing here waits for anything but the response.
"""

import asyncio
import base64
import io
import json
import random
import wave
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import numpy as np

from flamingo_pod.audio import sound_file

RATE_HZ = 16_000
FORMATS = ("wav", "flac", "mp3", "m4a", "aac", "vorbis", "opus", "webm", "aiff")
HIGH_RATE = {"opus": 48_000, "webm": 48_000}
LONGEST_S = 60
NUM_FAVOURITES = 8
NOISE = (np.random.default_rng(1).standard_normal(4 * RATE_HZ * LONGEST_S) * 0.1).astype(np.float32)
CAPTIONS, CHAT = "/v1/audio/captions", "/v1/chat/completions"
GENRES = ("rock", "jazz", "folk", "soul", "blues", "metal", "house", "disco")


class Unexpected(Exception):
    """A response that the request must not get."""


@dataclass
class Traffic:
    """Sends requests of random kinds to one address."""

    client: aiohttp.ClientSession
    address: str
    rng: random.Random
    sent: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """One failure of each kind."""
    audio_s: float = 0.0

    async def send_one(self) -> None:
        """Send a request of a random kind."""
        weights = [weight for weight, _ in KINDS.values()]
        await self.send(self.rng.choices(list(KINDS), weights)[0])

    async def send(self, name: str) -> None:
        """Send a request of a kind; count it, and whether it failed."""
        _, send = KINDS[name]
        self.sent[name] += 1
        try:
            await send(self)
        except (Unexpected, aiohttp.ClientError, TimeoutError, ValueError) as error:
            self.failed[name] += 1
            self.examples.setdefault(name, f"{type(error).__name__}: {error}"[:300])

    def new_clip(self, *, longest_s: float = LONGEST_S) -> np.ndarray:
        """Return samples that were never sent before."""
        num = int(RATE_HZ * self.rng.uniform(0.5, longest_s) ** 2 / longest_s) + RATE_HZ // 2
        start = self.rng.randrange(len(NOISE) - num)
        self.audio_s += num / RATE_HZ
        return NOISE[start : start + num]

    def favourite(self) -> bytes:
        """Return one of a few clips that are sent again and again."""
        number = self.rng.randrange(NUM_FAVOURITES)
        return wav(NOISE[number * RATE_HZ : (number + 6) * RATE_HZ])

    async def post(self, path: str, **kwargs) -> tuple[int, bytes]:
        async with self.client.post(self.address + path, **kwargs) as response:
            return response.status, await response.read()

    async def answer(self, path: str, **kwargs) -> dict:
        """Return a response that must be 200 and JSON."""
        status, body = await self.post(path, **kwargs)
        if status != 200:
            raise Unexpected(f"{status} {body[:200]!r}")
        return json.loads(body)

    async def refusal(self, path: str, *codes: str, **kwargs) -> None:
        """Send what must be refused with one of the error codes."""
        status, body = await self.post(path, **kwargs)
        if not 400 <= status < 500 or json.loads(body)["error"]["code"] not in codes:
            raise Unexpected(f"{status} {body[:200]!r}")


def wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setparams((1, 2, RATE_HZ, len(samples), "NONE", ""))
        target.writeframes((samples * 32767).astype("<i2").tobytes())
    return file.getvalue()


def stereo(samples: np.ndarray) -> np.ndarray:
    return np.stack([samples, samples])


def form(file: bytes, **fields: object) -> aiohttp.FormData:
    data = aiohttp.FormData({name: str(value) for name, value in fields.items()})
    data.add_field("file", file, filename="clip")
    return data


async def caption_new(traffic: Traffic) -> None:
    file = await asyncio.to_thread(wav, traffic.new_clip())
    await traffic.answer(CAPTIONS, data=form(file, max_tokens=traffic.rng.randint(1, 32)))


async def caption_format(traffic: Traffic) -> None:
    kind = traffic.rng.choice(FORMATS)
    rate_hz = HIGH_RATE.get(kind, 22_050)
    samples = stereo(traffic.new_clip(longest_s=12))
    file = await asyncio.to_thread(sound_file.encode_file, samples, rate_hz, kind)
    await traffic.answer(CAPTIONS, data=form(file, max_tokens=4))


async def chat_cached(traffic: Traffic) -> None:
    data = form(traffic.favourite(), prompt=f"Question {traffic.rng.random()}?", max_tokens=8)
    await traffic.answer(CHAT, data=data)


async def chat_several_turns(traffic: Traffic) -> None:
    clip = {"data": base64.b64encode(traffic.favourite()).decode(), "format": "wav"}
    turns = [{"role": "user", "content": [{"type": "input_audio", "input_audio": clip}]}]
    for number in range(3):
        turns.append({"role": "user", "content": f"And {number}, {traffic.rng.random()}?"})
        body = {"messages": turns, "max_tokens": 6}
        answered = await traffic.answer(CHAT, json=body)
        turns.append(answered["choices"][0]["message"] | {"role": "assistant"})
        turns[-1] = {"role": "assistant", "content": turns[-1]["content"] or "-"}


async def chat_choices(traffic: Traffic) -> None:
    content = f"Name a genre, {traffic.rng.random()}."
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 8, "n": 3}
    sampling = {"temperature": 1.0, "top_p": 0.9, "logprobs": True, "top_logprobs": 3}
    await traffic.answer(CHAT, json=body | sampling)


async def structured(traffic: Traffic) -> None:
    """Ask for JSON of a schema that is nearly always new, so that grammars come and go."""
    names = traffic.rng.sample(GENRES, 3)
    properties = {name: {"enum": traffic.rng.sample(GENRES, 2)} for name in names}
    schema = {"type": "object", "properties": properties, "required": names}
    wanted = {"name": "song", "schema": schema | {"additionalProperties": False}}
    request = {"response_format": {"type": "json_schema", "json_schema": wanted}}
    data = form(traffic.favourite(), request=json.dumps(request | {"max_tokens": 60}))
    await traffic.answer(CAPTIONS, data=data)


async def stream(traffic: Traffic) -> None:
    await _stream(traffic, num_events=None)


async def stream_cancelled(traffic: Traffic) -> None:
    await _stream(traffic, num_events=traffic.rng.randint(1, 6))


async def _stream(traffic: Traffic, num_events: int | None) -> None:
    file = await asyncio.to_thread(wav, traffic.new_clip())
    data = form(file, stream="true", max_tokens=48)
    async with traffic.client.post(traffic.address + CAPTIONS, data=data) as response:
        if response.status != 200:
            raise Unexpected(f"{response.status} {(await response.read())[:200]!r}")
        num = 0
        async for line in response.content:
            if b'"error"' in line:
                raise Unexpected(repr(line[:200]))
            num += line.startswith(b"data:")
            if num == num_events:
                response.close()
                return


async def upload_aborted(traffic: Traffic) -> None:
    """Close the connection while the body is on its way."""
    file = wav(traffic.new_clip())

    async def half():
        yield file[: len(file) // 2]
        raise ConnectionAbortedError

    headers = {"Content-Type": "application/json", "Content-Length": str(len(file))}
    try:
        await traffic.post(CHAT, data=half(), headers=headers)
    except (aiohttp.ClientError, ConnectionAbortedError):
        return
    raise Unexpected("a response to half a body")


async def damaged(traffic: Traffic) -> None:
    """Overwrite a part of a file: it is decoded or refused, as the damage may be."""
    kind = traffic.rng.choice(("flac", "mp3", "vorbis", "opus", "m4a"))
    rate_hz = HIGH_RATE.get(kind, 22_050)
    samples = stereo(traffic.new_clip(longest_s=10))
    file = bytearray(await asyncio.to_thread(sound_file.encode_file, samples, rate_hz, kind))
    start = traffic.rng.randrange(len(file))
    stop = min(len(file), start + traffic.rng.randrange(1, len(file)))
    file[start:stop] = traffic.rng.randbytes(stop - start)
    status, body = await traffic.post(CAPTIONS, data=form(bytes(file), max_tokens=2))
    if status != 200 and json.loads(body)["error"]["code"] not in {
        "invalid_audio",
        "audio_damaged",
        "audio_too_long",
    }:
        raise Unexpected(f"{status} {body[:200]!r}")


async def garbage(traffic: Traffic) -> None:
    data = form(traffic.rng.randbytes(traffic.rng.randrange(20_000)) or b"-")
    await traffic.refusal(CAPTIONS, "invalid_audio", data=data)


async def bad_parameter(traffic: Traffic) -> None:
    data = form(traffic.favourite(), temperature=traffic.rng.randint(3, 1_000_000))
    await traffic.refusal(CAPTIONS, "invalid_request", data=data)


async def bad_model(traffic: Traffic) -> None:
    """Name a model that was never named before: no metric may have it as a label."""
    data = form(traffic.favourite(), model=f"model-{traffic.rng.random()}")
    await traffic.refusal(CAPTIONS, "model_not_found", data=data)


async def bad_route(traffic: Traffic) -> None:
    await traffic.refusal(f"/v1/{traffic.rng.random()}", "not_found", data=b"{}")


async def embedding(traffic: Traffic) -> None:
    file = await asyncio.to_thread(wav, traffic.new_clip())
    await traffic.answer("/v1/audio/embeddings", data=form(file, pooling="mean"))


async def frames(traffic: Traffic) -> None:
    file = await asyncio.to_thread(wav, traffic.new_clip(longest_s=20))
    data = form(file, encoding_format="npy", layer="projector")
    status, body = await traffic.post("/v1/audio/embeddings", data=data)
    if status != 200 or body[:6] != b"\x93NUMPY":
        raise Unexpected(f"{status} {body[:200]!r}")


async def analysis(traffic: Traffic) -> None:
    data = form(traffic.favourite(), max_tokens=8, encoding_format="base64")
    await traffic.answer("/v1/audio/analyze", data=data)


async def observed(traffic: Traffic) -> None:
    for path in ("/metrics", "/fleet", "/v1/models", "/health/ready", "/openapi.json"):
        async with traffic.client.get(traffic.address + path) as response:
            await response.read()
            if response.status != 200:
                raise Unexpected(f"{path}: {response.status}")


KINDS: dict[str, tuple[int, Callable[[Traffic], Awaitable[None]]]] = {
    "caption, new clip": (20, caption_new),
    "caption, all formats": (10, caption_format),
    "chat, cached clip": (20, chat_cached),
    "chat, three turns": (4, chat_several_turns),
    "chat, three choices": (4, chat_choices),
    "structured output": (6, structured),
    "stream": (8, stream),
    "stream, cancelled": (10, stream_cancelled),
    "upload, aborted": (3, upload_aborted),
    "damaged file": (8, damaged),
    "not audio": (3, garbage),
    "invalid parameter": (2, bad_parameter),
    "unknown model": (2, bad_model),
    "unknown route": (1, bad_route),
    "embedding": (6, embedding),
    "embedding, frames": (3, frames),
    "analysis": (3, analysis),
    "metrics and health": (4, observed),
}
"""Each kind's weight, and what sends it."""
