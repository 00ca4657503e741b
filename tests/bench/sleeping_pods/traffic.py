"""Sends the same arrivals to a proxy, whatever it does with them, and notes what each met."""

import asyncio
import contextlib
import io
import json
import os
import time
import urllib.request
import wave
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from bench.flood_sim import CALM, FLOOD
from bench.simulator import ROUTE, SHORT_S, Job

RATE_HZ, OK = 500, 200
KEYS = {name: f"fk-{name}" for name in (CALM, FLOOD)}
DEADLINE_HEADER = "x-flamingo-deadline-ms"


@dataclass(frozen=True)
class Answer:
    """What one request met; times are seconds from when it was due."""

    job: Job
    sent_late_s: float
    """How late this process sent it, which is the bench's own fault."""
    first_token_s: float | None = None
    last_token_s: float | None = None
    """None: it was refused, or not done at its deadline."""
    status: int | None = None
    """None: there was no response at its deadline."""

    @property
    def is_short(self) -> bool:
        return self.job.audio_s <= SHORT_S


def clip(audio_s: float) -> bytes:
    """Return a small WAV file of this length that no pod has heard before."""
    file, num = io.BytesIO(), max(int(audio_s * RATE_HZ), 16)
    with wave.open(file, "wb") as target:
        target.setparams((1, 1, RATE_HZ, num, "NONE", ""))
        target.writeframes(os.urandom(16) + bytes(num - 16))
    return file.getvalue()


def form(job: Job) -> aiohttp.FormData:
    """Return a request for a streamed caption; only the pods read the number of tokens."""
    data = aiohttp.FormData({"stream": "true", "prompt": f"{job.num_tokens} tokens"})
    data.add_field("file", clip(job.audio_s), filename="clip.wav")
    return data


@dataclass(frozen=True)
class Sender:
    """Sends arrivals to one proxy when they are due, and waits for nobody."""

    client: aiohttp.ClientSession
    address: str
    deadline_s: float
    """For each request, from when it is due; then its client gives up."""
    started_s: float
    """The moment, by the monotonic clock, from which jobs are due."""

    async def play(self, jobs: Sequence[Job]) -> list[Answer]:
        """Send all jobs; return what each met, in their order."""
        return await asyncio.gather(*map(self._one, jobs))

    async def _one(self, job):
        due_s = self.started_s + job.at_s
        await asyncio.sleep(due_s - time.monotonic())
        met = {"sent_late_s": time.monotonic() - due_s}
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(due_s + self.deadline_s - time.monotonic()):
                await self._send(job, due_s, met)
        return Answer(job, **met)

    async def _send(self, job, due_s, met):
        headers = {
            "Authorization": f"Bearer {KEYS[job.tenant or CALM]}",
            DEADLINE_HEADER: f"{self.deadline_s * 1000:.0f}",
        }
        url = self.address + ROUTE
        async with self.client.post(url, data=form(job), headers=headers) as response:
            met["status"] = response.status
            if response.status != OK:
                await response.read()
                return
            async for line in response.content:
                if line.startswith(b"data: "):
                    met.setdefault("first_token_s", time.monotonic() - due_s)
                if line.startswith(b"data: [DONE]"):
                    met["last_token_s"] = time.monotonic() - due_s


def ask_once(address: str) -> str | None:
    """Send one request; return None, or how it was refused."""
    return asyncio.run(_ask_once(address))


async def _ask_once(address):
    headers = {"Authorization": f"Bearer {KEYS[CALM]}"}
    data, timeout = form(Job(0.0, 1.0, 1, "", 1.0)), aiohttp.ClientTimeout(5)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        try:
            async with client.post(address + ROUTE, data=data, headers=headers) as response:
                text = (await response.text())[:100]
                return None if response.status == OK else f"{response.status} {text}".strip()
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__


def pods_report(pod: str) -> dict:
    """Return what the pods of a fleet did since this was last read."""
    with urllib.request.urlopen(pod + "/bench", timeout=60) as response:
        return json.load(response)
