"""`flamingo up`: bind the ports, start the services, watch them, stop them.

The listening sockets are bound here and passed to the services. A port that is in use is
thus reported before anything starts, and no other program can take a port in between.
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

from flamingo.local_fleet import hardware, messages, plan, processes, terminal
from flamingo.local_fleet.processes import ProcessSpec, ServiceProcess
from flamingo_common.service import run

POLL_INTERVAL_S = 0.2
POLL_TIMEOUT_S = 5.0
KILL_MARGIN_S = 5.0
"""Seconds after the end of their grace period at which services are killed."""
EXIT_SERVICE_FAILED = 1
EXIT_INTERRUPTED = 130
"""Stopped before the fleet was ready; later, ctrl-C is the regular way to stop it."""


class UnexpectedExit(Exception):
    """A service exited by itself."""

    def __init__(self, service: ServiceProcess, returncode: int) -> None:
        super().__init__(service.name)
        self.service = service
        self.returncode = returncode


class StopRequested(Exception):
    """The fleet received a signal to stop."""


@dataclass(frozen=True)
class StopSignals:
    """The signals to stop that have been received."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first signal."""
    force: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the second: stop without waiting for requests in flight."""

    def receive(self) -> None:
        """Record one more signal."""
        (self.force if self.stop.is_set() else self.stop).set()


@dataclass(frozen=True)
class LocalFleet:
    """What to start, and where it listens."""

    options: plan.FleetOptions
    commands: plan.ServiceCommands
    hardware: plan.Hardware
    address: str
    clip: Path
    """An audio file for the example commands."""
    logs: Path

    @property
    def num_pods(self) -> int:
        """The number of pods."""
        return plan.num_pods(self.options, self.hardware)


def up(options: plan.FleetOptions, commands: plan.ServiceCommands, clip: Path) -> int:
    """Run a fleet until it is stopped or a service exits; return the exit status.

    Raises:
        PortInUse: the router's address is in use or not available.
    """
    with run.listen(options.host, options.port) as listener:
        fleet = LocalFleet(
            options,
            commands,
            hardware.detect_hardware(os.environ),
            address=plan.listener_url(*listener.getsockname()[:2]),
            clip=clip,
            logs=Path(tempfile.mkdtemp(prefix="flamingo-up-")),
        )
        return asyncio.run(_run_fleet(fleet, listener))


async def _run_fleet(fleet: LocalFleet, listener: socket.socket) -> int:
    starting = messages.starting(fleet.options.model, fleet.num_pods, fleet.hardware.gpus)
    terminal.print_status(starting)
    services: list[ServiceProcess] = []
    with _handle_stop_signals() as signals, processes.parent_death_pipe() as pipe:
        try:
            await _start_services(fleet, listener, pipe, services)
            return await _watch_services(fleet, services, signals)
        finally:
            await _stop_services(fleet, services, signals)


async def _start_services(
    fleet: LocalFleet, listener: socket.socket, pipe: int, services: list[ServiceProcess]
) -> None:
    """Start the pods, then the router.

    Each is appended to `services` immediately, so that all of them are stopped after a failure.
    """
    ports = []
    for number in range(fleet.num_pods):
        pod_listener = run.listen(plan.LOOPBACK, 0)
        ports.append(pod_listener.getsockname()[1])
        services.append(await processes.start(_pod_spec(fleet, number), pod_listener, pipe))
    services.append(await processes.start(_router_spec(fleet, ports), listener, pipe))


def _pod_spec(fleet: LocalFleet, number: int) -> ProcessSpec:
    name = f"pod-{number + 1}"
    return ProcessSpec(
        name,
        lambda fd: plan.pod_command(fleet.commands.pod, fleet.options, fd),
        plan.pod_environ(number, fleet.num_pods, fleet.hardware, os.environ),
        fleet.logs / f"{name}.log",
    )


def _router_spec(fleet: LocalFleet, ports: list[int]) -> ProcessSpec:
    return ProcessSpec(
        "router",
        lambda fd: plan.router_command(fleet.commands.router, fleet.options, fd, ports),
        os.environ,
        fleet.logs / "router.log",
    )


async def _watch_services(
    fleet: LocalFleet, services: list[ServiceProcess], signals: StopSignals
) -> int:
    """Announce the fleet when it is ready; return the exit status once it has to stop."""
    is_ready = asyncio.Event()
    status = 0
    try:
        async with asyncio.TaskGroup() as group:
            for service in services:
                group.create_task(_raise_on_exit(service))
            group.create_task(_raise_on_stop(signals))
            group.create_task(_follow_logs(fleet, services))
            await _wait_until_ready(fleet)
            is_ready.set()
            terminal.print_result(_ready_message(fleet))
    except* UnexpectedExit as exits:
        for error in exits.exceptions:
            terminal.print_status(_exit_message(error))
        status = EXIT_SERVICE_FAILED
    except* StopRequested:
        status = status or (0 if is_ready.is_set() else EXIT_INTERRUPTED)
    return status


async def _raise_on_exit(service: ServiceProcess) -> NoReturn:
    raise UnexpectedExit(service, await service.wait())


async def _raise_on_stop(signals: StopSignals) -> NoReturn:
    await signals.stop.wait()
    raise StopRequested


async def _follow_logs(fleet: LocalFleet, services: list[ServiceProcess]) -> NoReturn:
    follower = terminal.LogFollower(fleet.options.log_level)
    while True:
        follower.print_new_lines([(service.name, service.log) for service in services])
        await asyncio.sleep(POLL_INTERVAL_S)


async def _wait_until_ready(fleet: LocalFleet) -> None:
    timeout = aiohttp.ClientTimeout(total=POLL_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        with terminal.show_progress() as progress:
            while (num_ready := await _num_ready_pods(session, fleet)) < fleet.num_pods:
                progress.update(num_ready, fleet.num_pods)
                await asyncio.sleep(POLL_INTERVAL_S)
            progress.update(num_ready, fleet.num_pods)


async def _num_ready_pods(session: aiohttp.ClientSession, fleet: LocalFleet) -> int:
    try:
        async with session.get(f"{fleet.address}/health/ready") as response:
            return messages.num_ready_pods(response.status, await response.read(), fleet.num_pods)
    except (aiohttp.ClientError, TimeoutError):
        return 0  # the router is starting; if it has exited, `_raise_on_exit` reports it


async def _stop_services(
    fleet: LocalFleet, services: list[ServiceProcess], signals: StopSignals
) -> None:
    if signals.stop.is_set():
        terminal.print_status(messages.STOPPING)
    timeout_s = fleet.options.grace_period_s + KILL_MARGIN_S
    killed = await processes.stop(services, timeout_s=timeout_s, force=signals.force)
    if killed and not signals.force.is_set():
        terminal.print_status(messages.killed([service.name for service in killed], timeout_s))


@contextlib.contextmanager
def _handle_stop_signals() -> Iterator[StopSignals]:
    """Yield the signals received while the block runs."""
    signals, loop = StopSignals(), asyncio.get_running_loop()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, signals.receive)
    try:
        yield signals
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _ready_message(fleet: LocalFleet) -> str:
    return messages.ready(fleet.address, fleet.options.model, str(fleet.clip), str(fleet.logs))


def _exit_message(error: UnexpectedExit | ExceptionGroup[UnexpectedExit]) -> str:
    assert isinstance(error, UnexpectedExit)  # the group is flat: no task raises a group
    log = error.service.log
    text = log.read_text("utf-8", "replace")
    return messages.unexpected_exit(error.service.name, error.returncode, text, str(log))
