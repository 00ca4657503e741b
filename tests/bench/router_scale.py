"""The router before many pods: `python tests/bench/router_scale.py --pods 1000 --streams 2000`.

The pods are sockets of one process that report that they are idle, answer at once, and stream an
event a second. Measured are the time until all are ready, the router's CPU time at rest and beside
the streams, and what it adds to the latency of a small request, against the same request sent to a
pod in turns.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))
from fakes import idle_pods, processes

CHAT = "/v1/chat/completions"
QUESTION = {"messages": [{"role": "user", "content": "What key is this in?"}]}
READY_S = 120.0
REST_S = 10.0
NUM_ASKED = 500
STREAMS_AT_ONCE = 50
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextlib.contextmanager
def stub_pods(num_pods, port):
    command = [sys.executable, idle_pods.__file__, str(num_pods), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert json.loads(process.stdout.readline()) == {"num_pods": num_pods}
            yield [f"http://{host}:{port}" for host in idle_pods.addresses(num_pods)]
        finally:
            process.kill()


async def ready_after_s(client, address, num_pods, began_s):
    while time.monotonic() - began_s < READY_S:
        async with client.get(f"{address}/health") as answer:
            num_ready = (await answer.json())["ready"]
        if num_ready == num_pods:
            return time.monotonic() - began_s
        await asyncio.sleep(0.2)
    raise SystemExit(f"{num_ready} of {num_pods} are ready after {READY_S:g} s")


async def share_of_a_core(router, wall_s):
    before_s, began_s = cpu_s(router.process.pid), time.monotonic()
    await asyncio.sleep(wall_s)
    return (cpu_s(router.process.pid) - before_s) / (time.monotonic() - began_s)


async def asked_s(client, address):
    began_s = time.monotonic()
    async with client.post(address + CHAT, json=QUESTION) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()
    return time.monotonic() - began_s


async def added_ms(client, router, pods):
    """Return the median and the 99th percentile of what the router adds to a request."""
    direct_s, through_s = [], []
    for _, pod in zip(range(NUM_ASKED), itertools.cycle(pods), strict=False):
        direct_s.append(await asked_s(client, pod))
        through_s.append(await asked_s(client, router.address))
        await asyncio.sleep(0.01)
    return tuple(1e3 * (of(through_s) - of(direct_s)) for of in (statistics.median, percentile_99))


def percentile_99(values):
    return sorted(values)[int(0.99 * len(values))]


async def hold_stream(client, address, is_open):
    async with client.post(address + CHAT, json=QUESTION | {"stream": True}) as answer:
        assert answer.status == 200, await answer.text()
        await answer.content.readline()
        is_open.release()
        async for _ in answer.content:
            pass


async def report(client, router, pods, num_streams):
    idle = await share_of_a_core(router, REST_S)
    print(f"| router at rest, share of a core | {idle:.1%} |")
    median_ms, p99_ms = await added_ms(client, router, pods)
    print(
        f"| added to a small request, p50 / p99 | {median_ms:.1f} / {p99_ms:.1f} ms |", flush=True
    )
    is_open = asyncio.Semaphore(0)
    streams = []
    for _ in range(0, num_streams, STREAMS_AT_ONCE):
        new = [hold_stream(client, router.address, is_open) for _ in range(STREAMS_AT_ONCE)]
        streams += map(asyncio.create_task, new)
        for _ in new:
            await is_open.acquire()
    busy = await share_of_a_core(router, REST_S)
    print(f"| beside {num_streams} streams, share of a core | {busy:.1%} |")
    median_ms, p99_ms = await added_ms(client, router, pods)
    print(f"| … added to a small request, p50 / p99 | {median_ms:.1f} / {p99_ms:.1f} ms |")
    assert not any(stream.done() for stream in streams), "a stream has ended"
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)


async def measure(num_pods, num_streams, port, flags):
    timeout, connector = aiohttp.ClientTimeout(60 * 10), aiohttp.TCPConnector(limit=0)
    log = Path(tempfile.mkdtemp()) / "log"
    with stub_pods(num_pods, port) as pods:
        endpoints = [flag for pod in pods for flag in ("--endpoint", pod)]
        began_s = time.monotonic()
        with processes.service("flamingo_router", *endpoints, *flags, log=log) as router:
            async with aiohttp.ClientSession(timeout=timeout, connector=connector) as client:
                await asyncio.to_thread(processes.wait_until_ready, router)
                took_s = await ready_after_s(client, router.address, num_pods, began_s)
                print("| | |\n| --- | ---: |")
                print(f"| {num_pods} pods ready, from the start of the process | {took_s:.1f} s |")
                await report(client, router, pods, num_streams)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--port", type=int, default=18400)
    options, flags = parser.parse_known_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(measure(options.pods, options.streams, options.port, flags))


if __name__ == "__main__":
    main()
