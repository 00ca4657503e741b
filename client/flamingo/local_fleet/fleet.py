"""`flamingo up`: take the ports, start the children, watch them, stop them.

The listening sockets are bound here and handed down, so that a busy port is told
before anything starts, and nobody can take a port between its choice and its use.
"""

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import aiohttp

from flamingo.local_fleet import machine, messages, plan, processes, terminal
from flamingo.local_fleet.processes import Child, Launch
from flamingo_common.service import run

POLL_S = 0.2
POLL_TIMEOUT_S = 5.0
MARGIN_S = 5.0
"""How much longer than their own grace children get before they are killed."""
EXIT_DIED = 1
EXIT_INTERRUPTED = 130
"""Stopped before it was ready; once it is ready, ctrl-C is how it ends well."""


class ChildDied(Exception):
    """A child ended uninvited."""

    def __init__(self, child: Child, returncode: int) -> None:
        super().__init__(child.name)
        self.child = child
        self.returncode = returncode


class Stopped(Exception):
    """Somebody told the fleet to stop."""


@dataclass(frozen=True)
class Signals:
    """What the terminal has asked for."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    """Asked for a second time."""

    def receive(self) -> None:
        """Take one more signal to stop."""
        (self.hurry if self.stop.is_set() else self.stop).set()


@dataclass(frozen=True)
class Fleet:
    """A fleet to be."""

    options: plan.Options
    programs: plan.Programs
    machine: plan.Machine
    address: str
    clip: Path
    """For the commands shown when it is ready."""
    logs: Path

    @property
    def num_pods(self) -> int:
        """How many pods it has."""
        return plan.num_pods(self.options, self.machine)


def up(options: plan.Options, programs: plan.Programs, clip: Path) -> int:
    """Run a fleet until it is told to stop or a child dies; return the exit status.

    Raises:
        PortInUse: the router's address cannot be taken.
    """
    with run.listen(options.host, options.port) as listener:
        fleet = Fleet(
            options,
            programs,
            machine.here(os.environ),
            address=plan.address(*listener.getsockname()[:2]),
            clip=clip,
            logs=Path(tempfile.mkdtemp(prefix="flamingo-up-")),
        )
        return asyncio.run(_run(fleet, listener))


async def _run(fleet: Fleet, listener: socket.socket) -> int:
    terminal.note(messages.starting(fleet.options.model, fleet.num_pods, fleet.machine.gpus))
    children: list[Child] = []
    with _signals() as signals, processes.lifeline() as lifeline:
        try:
            await _start(fleet, listener, lifeline, children)
            return await _watch(fleet, children, signals)
        finally:
            await _stop(fleet, children, signals)


async def _start(
    fleet: Fleet, listener: socket.socket, lifeline: int, children: list[Child]
) -> None:
    """Start all, router last; `children` grows with each, so that a failure leaves none behind."""
    ports = []
    for number in range(fleet.num_pods):
        pod_listener = run.listen(plan.LOOPBACK, 0)
        ports.append(pod_listener.getsockname()[1])
        children.append(await processes.start(_pod(fleet, number), pod_listener, lifeline))
    children.append(await processes.start(_router(fleet, ports), listener, lifeline))


def _pod(fleet: Fleet, number: int) -> Launch:
    name = f"pod-{number + 1}"
    return Launch(
        name,
        lambda fd: plan.pod_command(fleet.programs.pod, fleet.options, fd),
        plan.pod_environ(number, fleet.num_pods, fleet.machine, os.environ),
        fleet.logs / f"{name}.log",
    )


def _router(fleet: Fleet, ports: list[int]) -> Launch:
    return Launch(
        "router",
        lambda fd: plan.router_command(fleet.programs.router, fleet.options, fd, ports),
        os.environ,
        fleet.logs / "router.log",
    )


async def _watch(fleet: Fleet, children: list[Child], signals: Signals) -> int:
    """Say when the fleet is ready; return the exit status once it has to stop."""
    is_ready = asyncio.Event()
    status = 0
    try:
        async with asyncio.TaskGroup() as group:
            for child in children:
                group.create_task(_until_dead(child))
            group.create_task(_until_stopped(signals))
            group.create_task(_follow(fleet, children))
            await _until_ready(fleet)
            is_ready.set()
            terminal.announce(_ready_message(fleet))
    except* ChildDied as deaths:
        for death in deaths.exceptions:
            terminal.note(_death_message(death))
        status = EXIT_DIED
    except* Stopped:
        status = status or (0 if is_ready.is_set() else EXIT_INTERRUPTED)
    return status


async def _until_dead(child: Child) -> NoReturn:
    raise ChildDied(child, await child.ended())


async def _until_stopped(signals: Signals) -> NoReturn:
    await signals.stop.wait()
    raise Stopped


async def _follow(fleet: Fleet, children: list[Child]) -> NoReturn:
    follower = terminal.LogFollower(fleet.options.log_level)
    while True:
        follower.show([(child.name, child.log) for child in children])
        await asyncio.sleep(POLL_S)


async def _until_ready(fleet: Fleet) -> None:
    timeout = aiohttp.ClientTimeout(total=POLL_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        with terminal.progress() as progress:
            while (num_ready := await _num_ready(session, fleet)) < fleet.num_pods:
                progress.tell(num_ready, fleet.num_pods)
                await asyncio.sleep(POLL_S)
            progress.tell(num_ready, fleet.num_pods)


async def _num_ready(session: aiohttp.ClientSession, fleet: Fleet) -> int:
    try:
        async with session.get(f"{fleet.address}/health/ready") as response:
            return messages.num_ready(response.status, await response.read(), fleet.num_pods)
    except (aiohttp.ClientError, TimeoutError):
        return 0  # it is starting; should it have died, its own task says so


async def _stop(fleet: Fleet, children: list[Child], signals: Signals) -> None:
    if signals.stop.is_set():
        terminal.note(messages.STOPPING)
    grace_s = fleet.options.grace_s + MARGIN_S
    killed = await processes.stop(children, grace_s=grace_s, hurry=signals.hurry)
    if killed and not signals.hurry.is_set():
        terminal.note(messages.left_over([child.name for child in killed], grace_s))


@contextlib.contextmanager
def _signals() -> Iterator[Signals]:
    """Yield what the terminal asks for, while this block lasts."""
    signals, loop = Signals(), asyncio.get_running_loop()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, signals.receive)
    try:
        yield signals
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _ready_message(fleet: Fleet) -> str:
    return messages.ready(fleet.address, fleet.options.model, str(fleet.clip), str(fleet.logs))


def _death_message(death: ChildDied | ExceptionGroup[ChildDied]) -> str:
    assert isinstance(death, ChildDied)  # the group is flat: its tasks raise nothing but these
    log = death.child.log
    text = log.read_text("utf-8", "replace")
    return messages.death(death.child.name, death.returncode, text, str(log))
