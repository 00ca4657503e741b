"""A router as a process, in front of scripted pods that are processes too."""

import asyncio
import contextlib
import json
import os
from pathlib import Path

import aiohttp
from fakes import polling, processes
from fakes.patience import PATIENCE_S

CHAT = "/v1/chat/completions"
QUESTION = {"messages": [{"role": "user", "content": "What key is this in?"}]}
STREAMED = QUESTION | {"stream": True}


@contextlib.contextmanager
def routing(tmp_path, *pods, flags=(), ends_with=0, host="127.0.0.1"):
    """Run pods (each a dict of its fields) and a router before them; yield router and pods.

    `host` is the name of loopback by which the router is told of the pods.
    """
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(processes.fake_pod(tmp_path / f"pod-{number}", **fields))
            for number, fields in enumerate(pods)
        ]
        named = [pod.address.replace("127.0.0.1", host) for pod in started]
        endpoints = [flag for address in named for flag in ("--endpoint", address)]
        router = stack.enter_context(
            processes.service(
                "flamingo_router", *endpoints, *flags, log=tmp_path / "router", ends_with=ends_with
            )
        )
        processes.wait_until_ready(router)
        wait_for_endpoints(router, len(pods))
        yield router, started


def wait_for_endpoints(router, num_ready):
    async def wait():
        async with aiohttp.ClientSession() as client:
            await until(client, router, lambda seen: sum(e["ready"] for e in seen) >= num_ready)

    asyncio.run(asyncio.wait_for(wait(), PATIENCE_S))


async def until(client, router, holds):
    async def is_as_wanted():
        return holds(await endpoints_of(client, router))

    await polling.until(is_as_wanted)


async def endpoints_of(client, router):
    async with client.get(f"{router.address}/fleet") as answer:
        return (await answer.json())["endpoints"]


def run(scenario):
    async def in_time():
        connector = aiohttp.TCPConnector(limit=0)
        session = aiohttp.ClientSession(connector=connector)
        async with asyncio.timeout(PATIENCE_S), session as client:
            return await scenario(client)

    return asyncio.run(in_time())


async def ask(client, router, body=QUESTION, **options):
    async with client.post(router.address + CHAT, json=body, **options) as answer:
        return answer.status, await answer.json()


async def events_of(client, router, has_begun=None):
    """Return a stream's events to its end, each as JSON or as `[DONE]`."""
    async with client.post(router.address + CHAT, json=STREAMED) as answer:
        if has_begun is not None:
            has_begun.set()
        text = await answer.text()
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [each if each == "[DONE]" else json.loads(each) for each in data]


async def wait_for_request_at(client, router, address):
    """Return when a request is in flight at this pod."""

    def is_there(seen):
        return any(each["num_open"] for each in seen if each["address"] == address)

    await until(client, router, is_there)


def lines_of(log):
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def resident_bytes(process):
    pages = Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
