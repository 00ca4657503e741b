"""Start one of our services as a real process on a free port of loopback."""

import contextlib
import json
import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fakes.patience import PATIENCE_S

from flamingo_common.service import run

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Two threads on two busy cores wait for each other, ten times longer than one works."""


@dataclass
class Service:
    """A running service."""

    address: str
    process: subprocess.Popen
    log: Path


@contextlib.contextmanager
def service(
    package: str,
    *flags: str,
    log: Path,
    ends_with: int = 0,
    listens_on: tuple[str, int] = ("127.0.0.1", 0),
    environ: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """Run `python -m package flags…`, or a script; then send SIGTERM and check its exit status."""
    listener = run.listen(*listens_on)
    address = "http://{}:{}".format(*listener.getsockname()[:2])
    entry = [package] if package.endswith(".py") else ["-m", package]
    command = [sys.executable, "-P", *entry, "--fd", str(listener.fileno()), *flags]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            pass_fds=[listener.fileno()],
            stdout=sink,
            stderr=sink,
            env=os.environ | ONE_THREAD | (environ or {}),
        )
    listener.close()
    try:
        yield Service(address, process, log)
        process.terminate()
        assert process.wait(PATIENCE_S) == ends_with, log.read_text()
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def fake_pod(log: Path, port: int = 0, **fields: object) -> Iterator[Service]:
    """Run a scripted pod (`fakes.pods.FakePod` with these fields) as a process."""
    listener = run.listen("127.0.0.1", port)
    address, fd = f"http://127.0.0.1:{listener.getsockname()[1]}", listener.fileno()
    script, script_fields = Path(__file__).with_name("pod_process.py"), log.with_suffix(".json")
    script_fields.write_text(json.dumps(fields), encoding="utf-8")
    command = [sys.executable, str(script), str(fd), str(script_fields)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, pass_fds=[fd], stdout=sink, stderr=sink)
    listener.close()
    try:
        yield Service(address, process, log)
    finally:
        process.kill()
        process.wait()


def loopback_host() -> str:
    """Return an address of loopback that no other test uses, most likely.

    Services on it can have ports that are known before they start.
    """
    rng = random.SystemRandom()
    return f"127.{rng.randint(1, 254)}.{rng.randint(0, 254)}.{rng.randint(1, 254)}"


@contextlib.contextmanager
def fleet(logs: Path) -> Iterator[tuple[Service, list[Service]]]:
    """Run a router before two pods with the tiny model; yield router and pods, ready."""
    with contextlib.ExitStack() as stack:
        flags = ("--model", "flamingo-tiny")
        pods = [
            stack.enter_context(service("flamingo_pod", *flags, log=logs / f"pod-{number}"))
            for number in (1, 2)
        ]
        for running in pods:
            wait_until_ready(running)
        endpoints = [flag for running in pods for flag in ("--endpoint", running.address)]
        router = stack.enter_context(service("flamingo_router", *endpoints, log=logs / "router"))
        wait_until_ready(router)
        yield router, pods


def wait_until_ready(running: Service) -> None:
    """Return when the service reports ready."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        assert running.process.poll() is None, running.log.read_text()
        if _is_ready(running.address):
            return
        time.sleep(0.05)  # between two requests to a real process; no result depends on it
    raise AssertionError(f"not ready in {PATIENCE_S} s:\n{running.log.read_text()}")


def _is_ready(address: str) -> bool:
    try:
        # The port is bound before the process starts: this waits in its queue.
        with urllib.request.urlopen(f"{address}/health/ready", timeout=PATIENCE_S):
            return True
    except (urllib.error.HTTPError, TimeoutError, ConnectionError):
        return False


def is_running(pid: int) -> bool:
    """Whether the process does anything; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
