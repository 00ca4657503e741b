"""Child processes that serve an inherited listening socket and never outlive their parent.

Each has a process group of its own: ctrl-C in the terminal reaches only the parent, which
stops the children in order. Its standard input is a pipe whose write end only the parent holds:
should the parent be killed, the child reads end-of-file and stops. Its output goes to a
file rather than a pipe, which would block the child when full.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flamingo.local_fleet.plan import LOOPBACK


@dataclass(frozen=True)
class ProcessSpec:
    """How to start one service."""

    name: str
    command: Callable[[int], Sequence[str]]
    """Returns the command, given the file descriptor of the inherited socket."""
    environ: Mapping[str, str]
    log: Path


@dataclass(frozen=True)
class ServiceProcess:
    """One running service."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    async def wait(self) -> int:
        """Return the exit status once the process has ended; negative for a signal."""
        return await self.process.wait()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.process.returncode is None:
            self.process.send_signal(number)

    def kill_group(self) -> None:
        """Kill the process and all processes that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


@contextlib.contextmanager
def parent_death_pipe() -> Iterator[int]:
    """Yield the read end of a pipe that reaches end-of-file when the block or process ends."""
    reader, writer = os.pipe()  # children inherit neither end, unless it is passed to them
    try:
        yield reader
    finally:
        os.close(reader)
        os.close(writer)


def reserve_port() -> socket.socket:
    """Return a socket that keeps a free port of loopback for the listeners of this program.

    It is bound and does not listen: connections are refused while no service listens, and the
    kernel gives the port to no connection of another program. Listeners may bind it in turn.
    """
    reserved = socket.socket(socket.AF_INET)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((LOOPBACK, 0))
    return reserved


async def start(spec: ProcessSpec, listener: socket.socket, stdin: int) -> ServiceProcess:
    """Start a service that inherits `listener` and reads `stdin`, a `parent_death_pipe`.

    Its log continues that of an earlier start.
    """
    with spec.log.open("ab") as output, listener:
        process = await asyncio.create_subprocess_exec(
            *spec.command(listener.fileno()),
            stdin=stdin,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env=spec.environ,
            pass_fds=(listener.fileno(),),
            start_new_session=True,
        )
    return ServiceProcess(spec.name, process, spec.log)


async def stop(
    services: Sequence[ServiceProcess], *, timeout_s: float, force: asyncio.Event
) -> list[ServiceProcess]:
    """Send SIGTERM to all; kill what remains after `timeout_s`, or as soon as `force` is set.

    Returns:
        The services that had to be killed.
    """
    for service in services:
        service.send_signal(signal.SIGTERM)
    async with asyncio.TaskGroup() as group:
        exits = {group.create_task(service.wait()) for service in services}
        await _wait_for_first(_wait_for_all(exits), force.wait(), timeout_s=timeout_s)
        remaining = [service for service in services if service.process.returncode is None]
        for service in services:
            service.kill_group()  # also processes that an ended service has left behind
    return remaining


async def _wait_for_all(tasks: set[asyncio.Task[int]]) -> None:
    if tasks:
        await asyncio.wait(tasks)


async def _wait_for_first(*coroutines: Coroutine[Any, Any, object], timeout_s: float) -> None:
    """Return when one of `coroutines` is done or the time is over; the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
