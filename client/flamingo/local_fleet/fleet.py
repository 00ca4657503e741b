"""`flamingo up`: bind the ports, start the services, supervise them, stop them.

A service that dies while the fleet starts ends it: that is a wrong option or a broken checkpoint.
Later, a pod or the service of batches is started again (`supervision`), and the router goes on.

The listening sockets are bound here and passed to the services. A port that is in use is
thus reported before anything starts, and no other program can take a port in between.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import aiohttp

from flamingo.local_fleet import hardware, messages, plan, processes, terminal
from flamingo.local_fleet.processes import ProcessSpec, ServiceProcess
from flamingo.local_fleet.supervision import SupervisedService, UnexpectedExit
from flamingo_common.service import run

POLL_INTERVAL_S = 0.2
POLL_TIMEOUT_S = 5.0
KILL_MARGIN_S = 5.0
"""Seconds after the end of their grace period at which services are killed."""
EXIT_SERVICE_FAILED = 1
EXIT_INTERRUPTED = 130
"""Stopped before the fleet was ready; later, ctrl-C is the regular way to stop it."""


class NoPodsLeft(Exception):
    """Every pod died too often to be started again."""


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
    with contextlib.ExitStack() as stack:
        signals = stack.enter_context(_handle_stop_signals())
        pipe = stack.enter_context(processes.parent_death_pipe())
        first_s = fleet.options.restart_delay_s
        supervised = [SupervisedService(each, pipe, first_s) for each in _supervised_specs(fleet)]
        for each in supervised:
            stack.callback(each.close)
        try:
            for each in supervised:  # appended at once: all are stopped if one cannot start
                services.append(await each.start())  # noqa: PERF401
            router_spec = _router_spec(fleet, _ports(fleet, supervised))
            services.append(await processes.start(router_spec, listener, pipe))
            status = await _watch_services(fleet, services, supervised, signals)
        finally:
            await _stop_services(fleet, services, signals)
    has_died = any(each.has_died for each in supervised)
    is_clean = status in {0, EXIT_INTERRUPTED} and not has_died and all(map(_is_clean, services))
    _remove_logs(fleet, is_clean=is_clean)
    return status


def _is_clean(service: ServiceProcess) -> bool:
    """Return whether a service ended as requested; one that was starting dies of SIGTERM."""
    return service.process.returncode in {0, -signal.SIGTERM}


def _remove_logs(fleet: LocalFleet, *, is_clean: bool) -> None:
    """Remove the logs after a clean stop, and say where they are after any other."""
    if is_clean:
        shutil.rmtree(fleet.logs, ignore_errors=True)
    else:
        terminal.print_status(messages.logs_kept(str(fleet.logs)))


def _supervised_specs(fleet: LocalFleet) -> list[ProcessSpec]:
    """Return the pods, then the service of batches if there is one."""
    pods = [_pod_spec(fleet, number) for number in range(fleet.num_pods)]
    return pods if fleet.options.batches_dir is None else [*pods, _batches_spec(fleet)]


def _ports(fleet: LocalFleet, supervised: Sequence[SupervisedService]) -> plan.FleetPorts:
    ports = [each.port for each in supervised]
    pods, batches = ports[: fleet.num_pods], ports[fleet.num_pods :]
    return plan.FleetPorts(pods, batches[0] if batches else None)


def _pod_spec(fleet: LocalFleet, number: int) -> ProcessSpec:
    name = f"pod-{number + 1}"
    return ProcessSpec(
        name,
        lambda fd: plan.pod_command(fleet.commands.pod, fleet.options, fd),
        plan.pod_environ(number, fleet.num_pods, fleet.hardware, os.environ),
        fleet.logs / f"{name}.log",
    )


def _batches_spec(fleet: LocalFleet) -> ProcessSpec:
    return ProcessSpec(
        "batches",
        lambda fd: plan.batches_command(fleet.commands.batches, fleet.options, fd, fleet.address),
        os.environ,
        fleet.logs / "batches.log",
    )


def _router_spec(fleet: LocalFleet, ports: plan.FleetPorts) -> ProcessSpec:
    return ProcessSpec(
        "router",
        lambda fd: plan.router_command(fleet.commands.router, fleet.options, fd, ports),
        os.environ,
        fleet.logs / "router.log",
    )


async def _watch_services(
    fleet: LocalFleet,
    services: list[ServiceProcess],
    supervised: Sequence[SupervisedService],
    signals: StopSignals,
) -> int:
    """Announce the fleet when it is ready; return the exit status once it has to stop."""
    is_ready = asyncio.Event()
    status = 0
    try:
        async with asyncio.TaskGroup() as group:
            kept = [
                group.create_task(each.keep_running(services, index, is_ready))
                for index, each in enumerate(supervised)
            ]
            group.create_task(_raise_when_no_pod_is_left(kept[: fleet.num_pods]))
            group.create_task(_raise_on_exit(services[-1]))  # the router
            group.create_task(_raise_on_stop(signals))
            group.create_task(_follow_logs(fleet, services))
            await _wait_until_ready(fleet)
            is_ready.set()
            terminal.print_result(_ready_message(fleet))
    except* UnexpectedExit as exits:
        for error in exits.exceptions:
            terminal.print_status(_exit_message(error))
        status = max(map(_status_of, exits.exceptions))
    except* NoPodsLeft:
        terminal.print_status(messages.no_pods_left(fleet.num_pods))
        status = EXIT_SERVICE_FAILED
    except* StopRequested:
        status = status or (0 if is_ready.is_set() else EXIT_INTERRUPTED)
    return status


async def _raise_when_no_pod_is_left(kept: Sequence[asyncio.Task[None]]) -> None:
    """Wait for the tasks that keep pods running; a failure of one is raised by its own."""
    await asyncio.wait(kept)
    if all(not task.cancelled() and task.exception() is None for task in kept):
        raise NoPodsLeft


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
    options = fleet.options
    return messages.ready(
        fleet.address,
        options.model,
        str(fleet.logs),
        messages.Examples(str(fleet.clip), fleet.commands.client, options.client_url),
        batches_dir=options.batches_dir,
    )


def _status_of(error: UnexpectedExit | ExceptionGroup[UnexpectedExit]) -> int:
    """Return the status of a service that ended the fleet; its cause is the fleet's, too."""
    assert isinstance(error, UnexpectedExit)  # the group is flat: no task raises a group
    return max(error.returncode, EXIT_SERVICE_FAILED)  # negative for a signal, 0 for no reason


def _exit_message(error: UnexpectedExit | ExceptionGroup[UnexpectedExit]) -> str:
    assert isinstance(error, UnexpectedExit)  # the group is flat: no task raises a group
    log = error.service.log
    text = log.read_text("utf-8", "replace")
    return messages.unexpected_exit(
        messages.Death(error.service.name, error.returncode, text), str(log)
    )
