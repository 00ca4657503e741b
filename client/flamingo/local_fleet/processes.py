"""Child processes that listen on an inherited socket and never outlive their parent.

Each child has a process group of its own, so that ctrl-C in the terminal reaches
the parent alone and the parent decides who stops when. Its standard input is a
pipe whose only writer is the parent: were the parent killed outright, the child
reads the end of its input and stops. Its output goes to a file, not to a pipe
that somebody must keep reading.
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


@dataclass(frozen=True)
class Launch:
    """One child to be."""

    name: str
    command: Callable[[int], Sequence[str]]
    """The number of the inherited socket → the command."""
    environ: Mapping[str, str]
    log: Path


@dataclass(frozen=True)
class Child:
    """One running child."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    async def ended(self) -> int:
        """Return the exit status, once there is one; negative is a signal."""
        return await self.process.wait()

    def tell(self, number: signal.Signals) -> None:
        """Send a signal, unless the child has ended."""
        if self.process.returncode is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End the child and all it has started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


@contextlib.contextmanager
def lifeline() -> Iterator[int]:
    """Yield the reading end of a pipe that ends when this block, or this process, does."""
    reader, writer = os.pipe()  # neither is inherited but by name
    try:
        yield reader
    finally:
        os.close(reader)
        os.close(writer)


async def start(launch: Launch, listener: socket.socket, lifeline: int) -> Child:
    """Start a child that takes `listener` over and reads `lifeline` as its standard input."""
    with launch.log.open("wb") as output, listener:
        process = await asyncio.create_subprocess_exec(
            *launch.command(listener.fileno()),
            stdin=lifeline,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env=launch.environ,
            pass_fds=(listener.fileno(),),
            start_new_session=True,
        )
    return Child(launch.name, process, launch.log)


async def stop(children: Sequence[Child], *, grace_s: float, hurry: asyncio.Event) -> list[Child]:
    """Tell all to stop; kill what is left after `grace_s`, or at once when `hurry` is set.

    Return the children that had to be killed.
    """
    for child in children:
        child.tell(signal.SIGTERM)
    async with asyncio.TaskGroup() as group:
        endings = {group.create_task(child.ended()) for child in children}
        await _first(_all(endings), hurry.wait(), timeout_s=grace_s)
        left = [child for child in children if child.process.returncode is None]
        for child in children:
            child.kill()  # also what a child that ended has left behind
    return left


async def _all(tasks: set[asyncio.Task[int]]) -> None:
    if tasks:
        await asyncio.wait(tasks)


async def _first(*work: Coroutine[Any, Any, object], timeout_s: float) -> None:
    """Return when one of `work` is done or the time is over; the rest is cancelled."""
    tasks = [asyncio.ensure_future(each) for each in work]
    await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
