"""Answers that go on for a while, as streams."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from cluster.fleets import Fleet

from flamingo_pod.model.builtin import tokenizer

LONG = {
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 6000,
    "stream": True,
    "logit_bias": {str(tokenizer.build().eos_token_id): -100},
}


async def streamed(session: aiohttp.ClientSession, url: str, begun: asyncio.Event) -> str:
    """Return why an answer ended that was streamed to its end."""
    async with session.post(f"{url}/v1/chat/completions", json=LONG) as answer:
        lines = [line async for line in _events(answer, begun)]
    assert lines[-1] == b"data: [DONE]"
    return json.loads(lines[-2].removeprefix(b"data: "))["choices"][0]["finish_reason"]


async def _events(answer: aiohttp.ClientResponse, begun: asyncio.Event) -> AsyncIterator[bytes]:
    async for line in answer.content:
        begun.set()
        if line.startswith(b"data: "):
            yield line.strip()


async def held_by(session: aiohttp.ClientSession, pod: dict[str, Any]) -> int:
    """Return how many requests a server works on."""
    async with session.get(f"http://{pod['status']['podIP']}:8000/stats") as answer:
        return int((await answer.json())["num_running"])


async def busy_with_streams(
    fleet: Fleet, session: aiohttp.ClientSession, tasks: asyncio.TaskGroup
) -> list[asyncio.Task[str]]:
    """Return the streams that were begun until every server had one."""
    streams = []
    while not all([await held_by(session, pod) for pod in fleet.pods()]):
        begun = asyncio.Event()
        streams.append(tasks.create_task(streamed(session, fleet.address, begun)))
        await begun.wait()
    return streams
