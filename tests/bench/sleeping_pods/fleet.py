"""Proxies as processes, each in front of sleeping pods of its own."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.proxies import proxies
from bench.sleeping_pods import traffic

from flamingo_common.service import keys

PODS = Path(__file__).with_name("pods.py")
START_S = 60.0


@dataclass(frozen=True)
class Fleet:
    """A proxy, and the pods behind it."""

    name: str
    address: str
    pod: str
    """Address of one of the pods."""
    refusal: str | None
    """Why it cannot be compared."""


@contextlib.contextmanager
def fleet(
    proxy: proxies.Proxy, program: str, order: str, num_pods: int, folder: Path
) -> Iterator[Fleet]:
    """Run the pods and the proxy; it was tried with one request."""
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        ports = stack.enter_context(_pods(order, num_pods, folder))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = proxy.command(program, folder, port, ports)
        if proxy.name == "flamingo":
            command += ["--key-file", str(_key_file(folder))]
        process = stack.enter_context(_process(command, folder / "log"))
        address = f"http://127.0.0.1:{port}"
        refusal = _tried(address, process)
        yield Fleet(proxy.name, address, f"http://127.0.0.1:{ports[0]}", refusal)


def _key_file(folder: Path) -> Path:
    entries = [{"name": name, "sha256": keys.digest_of(key)} for name, key in traffic.KEYS.items()]
    path = folder / "keys.json"
    path.write_text(json.dumps({"keys": entries}), encoding="utf-8")
    return path


@contextlib.contextmanager
def _pods(order: str, num_pods: int, folder: Path) -> Iterator[list[int]]:
    with contextlib.ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(num_pods)
        ]
        fds = [listener.fileno() for listener in listeners]
        command = [sys.executable, "-P", str(PODS), order, *map(str, fds)]
        stack.enter_context(_process(command, folder / "pods.log", fds))
        yield [listener.getsockname()[1] for listener in listeners]


@contextlib.contextmanager
def _process(command: list[str], log: Path, fds: Sequence[int] = ()):
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, pass_fds=fds)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _tried(address: str, process: subprocess.Popen[bytes]) -> str | None:
    """Return None once a request was answered, or how the proxy refuses it in the end."""
    deadline_s, refusal = time.monotonic() + START_S, "no response"
    while time.monotonic() < deadline_s and process.poll() is None:
        refusal = traffic.ask_once(address)
        if refusal is None or refusal.startswith(("4", "500")):
            return refusal
        time.sleep(0.1)  # between two requests to a process that starts
    return refusal
