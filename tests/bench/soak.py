"""Runs a fleet for hours and shows what grows: `python tests/bench/soak.py --hours 2`.

One router and two pods with flamingo-tiny get the mix of `soak_traffic.py` as a Poisson process
at a fixed rate. The caches are small, so that they are full when the warm-up ends, and what grows
afterwards is not a cache. Memory is what a process has for itself (`RssAnon` + `RssShmem`), less
what its requests in flight have reserved.

Exits with 1 if a process has grown by more than 20 MB that no named cache explains, if
descriptors, threads or temporary files have become more, or if a response was not what it must
be.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench import soak_readings
from bench.soak_readings import CACHES, MB, Growth, Reading
from bench.soak_traffic import KINDS, Traffic
from fakes import processes

CACHE_FLAGS = ("--kv-cache-tokens", "24000", "--encoder-cache-gib", "0.02")
TIMEOUT_S = 120
MAX_IN_FLIGHT = 64
SENDERS = 4
NUM_READINGS = 120


@dataclass
class Soak:
    """The processes of a fleet, and the readings of each."""

    services: dict[str, processes.Service]
    temporary: Path
    started_s: float = field(default_factory=time.monotonic)
    readings: dict[str, list[Reading]] = field(default_factory=lambda: defaultdict(list))
    num_series: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def read(self) -> None:
        """Add a reading of each process."""
        at_s = time.monotonic() - self.started_s
        for name, service in self.services.items():
            pid, folder = service.process.pid, self.temporary / name
            reading = soak_readings.read_process(pid, at_s, folder)
            if name.startswith("pod"):
                reading = _with_caches(reading, soak_readings.read_metrics(service.address))
            self.readings[name].append(reading)
            self.num_series[name].append(soak_readings.num_series(service.address))
            for child in soak_readings.children_of(pid):
                with contextlib.suppress(ProcessLookupError):
                    if role := soak_readings.role_of(child):
                        child_reading = soak_readings.read_process(child, at_s, folder)
                        self.readings[f"{name}, {role}"].append(child_reading)


def _with_caches(reading: Reading, metrics: dict[str, dict[str, float]]) -> Reading:
    sizes = metrics["flamingo_cache_size_bytes"]
    extents = metrics["flamingo_kv_cache_extents"]
    return replace(
        reading,
        caches_mb={name: sizes[name] / MB for name in CACHES},
        extents={state: int(number) for state, number in extents.items()},
        reserved_mb=metrics["flamingo_request_memory_bytes"][""] / MB,
    )


@contextlib.contextmanager
def fleet(folder: Path, num_pods: int):
    """Yield the services of a fleet by name; the router is called `router`."""
    with contextlib.ExitStack() as stack:

        def start(package: str, name: str, *flags: str) -> processes.Service:
            (folder / name).mkdir()
            environ = {"TMPDIR": str(folder / name)}
            log = folder / f"{name}.log"
            service = processes.service(package, *flags, log=log, environ=environ)
            return stack.enter_context(service)

        pods = {
            f"pod {n}": start("flamingo_pod", f"pod {n}", *CACHE_FLAGS) for n in range(num_pods)
        }
        endpoints = [flag for pod in pods.values() for flag in ("--endpoint", pod.address)]
        for service in pods.values():
            processes.wait_until_ready(service)
        router = start("flamingo_router", "router", *endpoints)
        processes.wait_until_ready(router)
        yield {"router": router, **pods}


async def send_at_rate(traffic: Traffic, rate: float, seconds: float) -> None:
    """Send requests as a Poisson process, then wait for those in flight."""
    stop_s = time.monotonic() + seconds
    running: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as group:
        while time.monotonic() < stop_s:
            await asyncio.sleep(traffic.rng.expovariate(rate))
            if len(running) < MAX_IN_FLIGHT:
                task = group.create_task(traffic.send_one())
                running.add(task)
                task.add_done_callback(running.discard)


async def send_number(traffic: Traffic, number: int) -> None:
    """Send a number of requests, a few at a time, of each kind in turn."""
    names = itertools.islice(itertools.cycle(KINDS), number)

    async def send_next() -> None:
        for name in names:
            await traffic.send(name)

    async with asyncio.TaskGroup() as group:
        for _ in range(SENDERS):
            group.create_task(send_next())


async def read_regularly(soak: Soak, interval_s: float) -> None:
    while True:
        await asyncio.to_thread(soak.read)
        print_reading(soak)
        await asyncio.sleep(interval_s)


async def run(soak: Soak, given: argparse.Namespace) -> Traffic:
    seconds = given.hours * 3600
    limits = {
        "timeout": aiohttp.ClientTimeout(TIMEOUT_S),
        "connector": aiohttp.TCPConnector(limit=0),
    }
    async with aiohttp.ClientSession(**limits) as client:
        address = soak.services["router"].address
        traffic = Traffic(client, address, random.Random(given.seed))
        interval_s = 1.0 if given.requests else seconds / NUM_READINGS
        async with asyncio.TaskGroup() as group:  # a reading that fails ends the run
            reader = group.create_task(read_regularly(soak, interval_s))
            if given.requests:
                await send_number(traffic, given.requests)
            else:
                await send_at_rate(traffic, given.rate, seconds)
            reader.cancel()
    return traffic


def print_reading(soak: Soak) -> None:
    """Print one line for each process, as the run goes on."""
    for name, readings in soak.readings.items():
        last = readings[-1]
        caches = " ".join(f"{cache} {size:.1f}" for cache, size in last.caches_mb.items())
        extents = " ".join(f"{state} {number}" for state, number in last.extents.items())
        print(
            f"{last.at_s:7.0f} s  {name:23} {last.anonymous_mb:7.1f} + {last.shared_mb:5.1f} MB"
            f"  {last.num_descriptors:4} descriptors ({last.num_sockets} sockets,"
            f" {last.num_memory_files} memory files)  {last.num_threads:3} threads"
            f"  {last.num_temporary_files} files  {caches}  {extents}",
            flush=True,
        )


def print_timeline(soak: Soak, num_rows: int = 9) -> None:
    """Print what each process used at a few moments of the run, as a table."""
    print("\n| process | at, min | MB | caches, MB | descriptors | threads | files | extents |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for name, readings in soak.readings.items():
        step = max(1, (len(readings) - 1) // (num_rows - 1))
        for each in readings[::step]:
            extents = ", ".join(f"{number} {state}" for state, number in each.extents.items())
            caches = f"{sum(each.caches_mb.values()):.1f}" if each.caches_mb else ""
            print(
                f"| {name} | {each.at_s / 60:.0f} | {each.anonymous_mb + each.shared_mb:.1f}"
                f" | {caches} | {each.num_descriptors} | {each.num_threads}"
                f" | {each.num_temporary_files} | {extents} |"
            )


def print_growth(soak: Soak) -> list[Growth]:
    grown = [soak_readings.growth(name, each) for name, each in soak.readings.items()]
    print("\n| process | after warm-up, MB | at the end, MB | MB per hour | of it caches, MB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for each in grown:
        print(
            f"| {each.name} | {each.start_mb:.1f} | {each.end_mb:.1f}"
            f" | {each.per_hour_mb:+.1f} | {each.caches_mb:+.1f} |"
        )
    for name, counts in soak.num_series.items():
        print(f"time series of {name}: {counts[0]} at the start, {counts[-1]} at the end")
    return grown


def print_traffic(traffic: Traffic, seconds: float) -> None:
    total = sum(traffic.sent.values())
    print(
        f"\n{total} requests in {seconds / 60:.0f} min, {traffic.audio_s / 3600:.1f} h of new audio"
    )
    for kind in KINDS:
        failed = f", {traffic.failed[kind]} failed" if traffic.failed[kind] else ""
        print(f"  {kind}: {traffic.sent[kind]}{failed}")
    for kind, example in traffic.examples.items():
        print(f"  a failure of {kind}: {example}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--requests", type=int, help="send so many, as fast as they are answered")
    parser.add_argument("--rate", type=float, default=4.0, help="requests per second")
    parser.add_argument("--pods", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    given = parse_arguments()
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder), given.pods) as services:
        soak = Soak(services, Path(folder))
        traffic = asyncio.run(run(soak, given))
    print_traffic(traffic, time.monotonic() - soak.started_s)
    print_timeline(soak)
    grown = print_growth(soak)
    print(f"\nload of the machine: {os.getloadavg()[0]:.1f}")
    missed = [each.name for each in grown if not each.is_bounded]
    print(f"grew beyond the limit of {soak_readings.MAX_GROWTH_MB:g} MB: {_listed(missed)}")
    print(f"failures: {_listed(traffic.failed)}")
    if missed or traffic.failed:
        raise SystemExit(1)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


if __name__ == "__main__":
    main()
