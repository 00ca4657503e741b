"""How long a saturated pod takes to respond to probes, compared with an idle process."""

import contextlib
import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fakes import processes

from flamingo_common.service import run

HERE = Path(__file__).parent
PATHS = ("/health", "/health/ready", "/stats")
IDLE = "an idle aiohttp process"
MAX_P99_S = 0.05
"""On a dedicated machine. Where other processes compete for the cores, an idle one waits too."""
TIMES_IDLE = 4
GOAL = f"{MAX_P99_S * 1000:.0f} ms + {TIMES_IDLE} x the idle process's"


@dataclass
class Waits:
    """Latencies of responses, in seconds."""

    all_s: list[float] = field(default_factory=list)

    def quantile(self, part: float) -> float:
        ordered = sorted(self.all_s)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def measure(model: str, *, seconds: float, folder: Path) -> dict[str, Waits]:
    """Return the latencies of a saturated pod's paths, and of `IDLE`, requested in turn."""
    with contextlib.ExitStack() as stack:
        flags = ("--model", model)
        pod = stack.enter_context(processes.service("flamingo_pod", *flags, log=folder / "pod"))
        processes.wait_until_ready(pod)
        idle = stack.enter_context(_idle())
        stack.enter_context(_saturated(pod.address))
        _wait_until_saturated(pod.address)
        return _alternate(pod.address, idle, seconds)


def missed(waits: dict[str, Waits]) -> list[str]:
    """Return the paths that miss the goal."""
    allowed_s = MAX_P99_S + TIMES_IDLE * waits[IDLE].quantile(0.99)
    return [path for path in PATHS if waits[path].quantile(0.99) >= allowed_s]


def _alternate(pod: str, idle: str, seconds: float) -> dict[str, Waits]:
    waits = {name: Waits() for name in (*PATHS, IDLE)}
    ends_s = time.monotonic() + seconds
    with (
        contextlib.closing(_connection(pod)) as busy,
        contextlib.closing(_connection(idle)) as calm,
    ):
        while time.monotonic() < ends_s:
            for path in PATHS:
                waits[path].all_s.append(_wait_s(busy, path))
                waits[IDLE].all_s.append(_wait_s(calm, "/health"))
                time.sleep(0.01)  # to hit many moments of a step
    return waits


def _connection(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)


def _wait_s(connection: http.client.HTTPConnection, path: str) -> float:
    started_s = time.monotonic()
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    return time.monotonic() - started_s


@contextlib.contextmanager
def _idle() -> Iterator[str]:
    listener = run.listen("127.0.0.1", 0)
    command = [sys.executable, str(HERE / "idle.py"), str(listener.fileno())]
    process = subprocess.Popen(command, pass_fds=[listener.fileno()])
    port = listener.getsockname()[1]
    listener.close()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _saturated(address: str) -> Iterator[None]:
    command = [sys.executable, str(HERE / "load.py"), address]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        yield
        assert process.poll() is None, "the load ended before the measurement"
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_saturated(address: str) -> None:
    """Return when the pod runs several requests and others wait."""
    deadline_s = time.monotonic() + 60
    with contextlib.closing(_connection(address)) as connection:
        while time.monotonic() < deadline_s:
            connection.request("GET", "/metrics", headers={"accept": "text/plain"})
            text = connection.getresponse().read().decode()
            lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
            if float(lines["flamingo_requests_running"]) >= 8:
                return
            time.sleep(0.1)  # between two requests to a real process
    raise AssertionError("the pod was never saturated")
