"""How long `/health/live` waits while gzip bodies arrive: `python tests/bench/coded_bodies.py`.

A pod and a router, each a process of its own, get four bodies at once, many times: gzip of 972 kB
that would unpack to a gigabyte, which is refused; and forms of the same size and of 50 MB with half
a second of audio, which are answered. Another process requests `/health/live` all the time. The
last row of a service is for moments in which nothing else is sent.
"""

import argparse
import asyncio
import contextlib
import io
import itertools
import multiprocessing
import os
import random
import struct
import sys
import tempfile
import time
import wave
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))
from fakes import processes

EMBEDDINGS = "/v1/embeddings"
FORM = "multipart/form-data; boundary=b"
AT_ONCE = 4
UNPACKED_BYTES = 10**9
LARGE_BYTES = 50_000_000
BETWEEN_PROBES_S = 0.002
AFTERWARDS_S = 0.1
"""After the responses, the services might still read and discard."""
Probes = list[tuple[float, float]]
"""When each began and ended."""


@dataclass(frozen=True)
class Load:
    """A body that is posted four times at once, and the status that it must get."""

    name: str
    body: bytes
    headers: dict[str, str]
    status: int
    bursts: Probes = field(default_factory=list)
    """When each burst began and ended."""


def gzipped() -> Load:
    packer, part = zlib.compressobj(9, wbits=31), bytes(10**6)
    body = b"".join(packer.compress(part) for _ in range(UNPACKED_BYTES // len(part)))
    body += packer.flush()
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    return Load(f"gzip, {shown(len(body))}, 1 GB unpacked", body, headers, 415)


def plain(num_bytes: int) -> Load:
    """Return a form with half a second of audio and a large chunk of something else."""
    file = io.BytesIO()
    with wave.open(file, "wb") as clip:
        clip.setparams((1, 2, 16_000, 0, "NONE", ""))
        clip.writeframes(random.Random(num_bytes).randbytes(16_000))
    chunk = b"JUNK" + struct.pack("<I", num_bytes) + bytes(num_bytes)
    audio = bytearray(file.getvalue() + chunk)
    audio[4:8] = struct.pack("<I", len(audio) - 8)
    start = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = start + bytes(audio) + b"\r\n--b--\r\n"
    return Load(f"plain, {shown(num_bytes)}", body, {"content-type": FORM}, 200)


def shown(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.0f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.0f} kB"


def probe(address: str, pipe: Connection) -> None:
    """Request `/health/live` until told to stop; then send when each request began and ended."""

    async def requests() -> Probes:
        probes = []
        async with aiohttp.ClientSession(address) as client:
            while not pipe.poll():
                began_s = time.monotonic()
                async with client.get("/health/live") as answer:
                    await answer.read()
                    assert answer.status == 200
                probes.append((began_s, time.monotonic()))
                await asyncio.sleep(BETWEEN_PROBES_S)  # to hit many moments of a body
        return probes

    pipe.send("started")
    pipe.send(asyncio.run(requests()))


@contextlib.contextmanager
def probing(address: str, probes: Probes) -> Iterator[None]:
    """Probe the service during the block; then add the probes to `probes`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=probe, args=(address, theirs), daemon=True)
    process.start()
    ours.recv()
    yield
    ours.send("stop")
    probes.extend(ours.recv())
    process.join()


async def post(client: aiohttp.ClientSession, load: Load) -> None:
    async with client.post(EMBEDDINGS, data=io.BytesIO(load.body), headers=load.headers) as answer:
        assert answer.status == load.status, await answer.text()
        await answer.read()


async def burst(address: str, load: Load) -> None:
    """Post the body four times at once, or nothing if it is empty, and note when that was."""
    async with aiohttp.ClientSession(address) as client:
        began_s = time.monotonic()
        if load.body:
            await asyncio.gather(*[post(client, load) for _ in range(AT_ONCE)])
        await asyncio.sleep(AFTERWARDS_S)
        load.bursts.append((began_s, time.monotonic()))


def longest_ms(probes: Probes, interval: tuple[float, float]) -> float:
    """Return the longest probe of those that overlap the interval."""
    began_s, ended_s = interval
    waits = (end - start for start, end in probes if start < ended_s and end > began_s)
    return max(waits, default=0.0) * 1000


def show(name: str, address: str, num_bursts: int) -> None:
    """Print the rows of one service; its loads take turns."""
    coded = gzipped()
    loads = [coded, plain(len(coded.body)), plain(LARGE_BYTES), Load("nothing", b"", {}, 0)]
    for load in loads:
        asyncio.run(burst(address, load))  # warm
        load.bursts.clear()
    probes: Probes = []
    with probing(address, probes):
        for load in itertools.chain.from_iterable(itertools.repeat(loads, num_bursts)):
            asyncio.run(burst(address, load))
    waits_ms = {load.name: [longest_ms(probes, each) for each in load.bursts] for load in loads}
    of_coded = waits_ms[coded.name]
    for posted, all_ms in waits_ms.items():
        cells = [name, posted, f"{median(all_ms):.1f}", f"{median(of_coded) / median(all_ms):.2f}"]
        cells += [f"{max(all_ms):.1f}", f"{max(of_coded) / max(all_ms):.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bursts", type=int, default=20, help="of each kind, at each service")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        flags, log = ("--model", "flamingo-tiny"), Path(folder)
        pod = stack.enter_context(processes.service("flamingo_pod", *flags, log=log / "pod"))
        processes.wait_until_ready(pod)
        flags = ("--endpoint", pod.address)
        router = processes.service("flamingo_router", *flags, log=log / "router")
        router = stack.enter_context(router)
        processes.wait_until_ready(router)
        print("| at | four bodies | median ms | gzip's / this | longest ms | gzip's / this |")
        print("| --- | --- | ---: | ---: | ---: | ---: |")
        show("pod", pod.address, given.bursts)
        show("router", router.address, given.bursts)
    print(f"\nload of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
