"""CPU-seconds of the router's process for a small request, an event, a large upload.

`python tests/bench/router_cpu.py` prints a table. Client and pods run in this process. The
router is a process of its own, and its CPU time is the kernel's, so a busy machine disturbs little.
"""

import asyncio
import contextlib
import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path

import aiohttp

from flamingo_common.service import logs

sys.path.insert(0, str(Path(__file__).parents[1]))
from fakes import pods, processes

CHAT = "/v1/chat/completions"
QUESTION = {"messages": [{"role": "user", "content": "What key is this in?"}]}
NUM_PODS = 8
NUM_SMALL, NUM_AT_ONCE = 3000, 16
NUM_STREAMS, NUM_EVENTS = 16, 1000
NUM_UPLOADS, UPLOAD_BYTES = 6, 100_000_000
TICKS = os.sysconf("SC_CLK_TCK")


class PacedPod(pods.FakePod):
    """Writes each event by itself, so that the router cannot read several at once."""

    async def _stream(self, request):
        response = pods.web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        event = pods.sse.encode_event(json.dumps(self._chunk(request.path, "word ")))
        for _ in range(NUM_EVENTS):
            await response.write(event)
            await asyncio.sleep(0.002)  # what a fast decoder takes for a token
        await response.write(pods.sse.DONE)
        return response


def cpu_s(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mb(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


async def ask(client, address, body):
    async with client.post(address + CHAT, json=body) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()


async def small(client, router):
    async def some():
        for _ in range(NUM_SMALL // NUM_AT_ONCE):
            await ask(client, router.address, QUESTION)

    await asyncio.gather(*[some() for _ in range(NUM_AT_ONCE)])
    return "small request", NUM_SMALL // NUM_AT_ONCE * NUM_AT_ONCE, 1e6, "µs"


async def streams(client, router):
    streamed = QUESTION | {"stream": True}
    await asyncio.gather(*[ask(client, router.address, streamed) for _ in range(NUM_STREAMS)])
    return "event of a stream", NUM_STREAMS * NUM_EVENTS, 1e6, "µs"


async def uploads(client, router):
    for _ in range(NUM_UPLOADS):
        sent = io.BytesIO(bytes(UPLOAD_BYTES))
        async with client.post(router.address + CHAT, data=sent) as answer:
            assert answer.status == 200
    return "100 MB upload", NUM_UPLOADS, 1e3, "ms"


async def measured(client, router):
    await small(client, router)  # warm
    print("| | CPU each | peak MB |\n| --- | ---: | ---: |")
    for measure in (small, streams, uploads):
        before_s = cpu_s(router.process)
        name, num, scale, unit = await measure(client, router)
        each = (cpu_s(router.process) - before_s) / num * scale
        print(f"| {name} | {each:.0f} {unit} | {peak_mb(router.process):.0f} |", flush=True)


async def main(flags):
    logs.configure(service="bench", level="error")
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession())
        fakes = [pods.running(PacedPod()) for _ in range(NUM_PODS)]
        addresses = [await stack.enter_async_context(fake) for fake in fakes]
        endpoints = [flag for address in addresses for flag in ("--endpoint", address)]
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        router = stack.enter_context(
            processes.service("flamingo_router", *endpoints, *flags, log=log)
        )
        await asyncio.to_thread(processes.wait_until_ready, router)
        await measured(client, router)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
