"""Compares our router with other proxies, in one run, in front of the same upstreams.

    PYTHONPATH=tests python -m bench.proxies --environment ENV --markdown

It measures the proxy's own process: CPU-seconds from /proc, which a busy machine disturbs least,
and its peak resident memory. The rate is what `wrk` reaches while client, proxy and upstreams
share the machine, and only indicative. If a proxy refuses a load, its row states the refusal.
"""

import argparse
import asyncio
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.proxies import loads, process, proxies

NUM_UPSTREAMS = 2
NUM_EVENTS = 200
EVENT_S = 0.02
NUM_STREAMS = 32
START_S = 60.0
UPSTREAM = Path(__file__).with_name("upstream.py")
MICRO, MILLI = 1e6, 1e3


@dataclass(frozen=True)
class Effort:
    """How long each load lasts."""

    seconds: int
    upload_bytes: int
    num_uploads: int


@dataclass(frozen=True)
class Row:
    """The costs of one proxy; a text where it refused the load."""

    name: str
    request_us: float | str
    rate: float | str
    event_us: float | str
    upload_ms: str
    upload_mb: str
    idle_mb: float


@contextlib.contextmanager
def upstreams() -> Iterator[list[int]]:
    """Run the upstreams; yield their ports."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_upstream()) for _ in range(NUM_UPSTREAMS)]


@contextlib.contextmanager
def _upstream() -> Iterator[int]:
    with _listener() as listener:
        port, fd = listener.getsockname()[1], listener.fileno()
        command = [sys.executable, UPSTREAM, str(fd), str(NUM_EVENTS), str(EVENT_S)]
        started = subprocess.Popen(command, pass_fds=[fd])
    try:
        yield port
    finally:
        started.kill()
        started.wait()


def _listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


@contextlib.contextmanager
def running(proxy: proxies.Proxy, program: str, ports: list[int]) -> Iterator[tuple[int, int]]:
    """Run the proxy; yield its process id and its port."""
    with _listener() as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = proxy.command(program, Path(folder), port, ports)
        log = Path(folder) / "log"
        with log.open("wb") as sink:
            started = subprocess.Popen(command, stdout=sink, stderr=sink)
        try:
            _wait_until_answered(port, started, log)
            yield started.pid, port
        finally:
            started.kill()
            started.wait()


def _wait_until_answered(port: int, started: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    request = loads.whole(loads.chat())
    while time.monotonic() < deadline_s:
        if started.poll() is not None:
            break
        with contextlib.suppress(OSError, loads.Refused):
            return loads.upload(port, request)
        time.sleep(0.1)
    raise SystemExit(f"{started.args[0]} does not respond:\n{log.read_text(errors='replace')}")


def measure(proxy: proxies.Proxy, program: str, ports: list[int], effort: Effort) -> Row:
    """Return the proxy's cost for each load."""
    with running(proxy, program, ports) as (pid, port), tempfile.TemporaryDirectory() as folder:
        meter = process.Meter(pid)
        idle_mb = meter.resident_mb()
        loads.small(port, Path(folder), 1)  # warms up connections and caches
        rate: float | str = 0.0

        def small() -> int:
            nonlocal rate
            num, rate = loads.small(port, Path(folder), effort.seconds)
            return num

        request_us = _each(meter, small, MICRO)
        event_us = _each(meter, lambda: asyncio.run(loads.events(port, NUM_STREAMS)), MICRO)
        upload_ms, upload_mb = _uploads(meter, port, effort)
    return Row(proxy.name, request_us, rate, event_us, upload_ms, upload_mb, idle_mb)


def _uploads(meter: process.Meter, port: int, effort: Effort) -> tuple[str, str]:
    """Return an upload's CPU time and memory, after the text of any refusal."""
    refusals = ""
    for name, body in loads.long_chats(effort.upload_bytes).items():
        request = loads.whole(body)
        meter.reset_peak()
        before_mb = meter.resident_mb()

        def uploads(request: bytes = request) -> int:
            for _ in range(effort.num_uploads):
                loads.upload(port, request)
            return effort.num_uploads

        upload_ms = _each(meter, uploads, MILLI)
        if not isinstance(upload_ms, str):
            return f"{refusals}{upload_ms:,.0f}{name}", f"{meter.peak_mb() - before_mb:,.0f}"
        refusals = f"{upload_ms}; "
    return refusals, ""


def _each(meter: process.Meter, load: Callable[[], int], unit: float) -> float | str:
    """Return the CPU time of one item of the load, in 1/`unit` s, or the text of a refusal."""
    before_s = meter.cpu_s()
    try:
        num = load()
    except loads.Refused as refused:
        return str(refused)
    return (meter.cpu_s() - before_s) / num * unit


HEAD = (
    "| proxy | CPU µs / request | requests/s | CPU µs / event | CPU ms / upload |"
    " upload + MB | idle MB |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def line(row: Row) -> str:
    cells = [row.request_us, row.rate, row.event_us, row.upload_ms, row.upload_mb, row.idle_mb]
    texts = [cell if isinstance(cell, str) else f"{cell:,.0f}" for cell in cells]
    return f"| {row.name} | " + " | ".join(texts) + " |"


def options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench.proxies", description=__doc__.splitlines()[0])
    names = [proxy.name for proxy in proxies.PROXIES]
    parser.add_argument("--proxies", default=",".join(names), help="comma-separated; default: all")
    parser.add_argument(
        "--environment", type=Path, help="environment whose bin folder has further proxies"
    )
    parser.add_argument("--seconds", type=int, default=5, help="duration of the small requests")
    parser.add_argument("--upload-mb", type=int, default=100)
    parser.add_argument("--uploads", type=int, default=5)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    given = options(argv)
    effort = Effort(given.seconds, given.upload_mb * 10**6, given.uploads)
    wanted = given.proxies.split(",")
    print(HEAD)
    with upstreams() as ports:
        for proxy in proxies.PROXIES:
            if proxy.name not in wanted:
                continue
            program = proxies.find(proxy, given.environment)
            if program is None:
                print(f"| {proxy.name} | {proxy.program} is not installed | | | | | |")
                continue
            print(line(measure(proxy, program, ports, effort)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
