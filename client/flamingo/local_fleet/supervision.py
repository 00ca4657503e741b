"""Keeps one service behind the router running: starts it again, with back-off, when it dies.

The router goes on meanwhile: it sends the service nothing while the service does not report, and
finds it again at the same port. `restarts` decides when, and when to give up.
"""

import asyncio
import time
from dataclasses import dataclass

from flamingo.local_fleet import messages, processes, terminal
from flamingo.local_fleet.plan import LOOPBACK
from flamingo.local_fleet.processes import ProcessSpec, ServiceProcess
from flamingo.local_fleet.restarts import DeathCount
from flamingo_common.service import run


class UnexpectedExit(Exception):
    """A service exited by itself, and the fleet cannot go on."""

    def __init__(self, service: ServiceProcess, returncode: int) -> None:
        super().__init__(service.name)
        self.service = service
        self.returncode = returncode


@dataclass
class SupervisedService:
    """A service on loopback that is started as often as needed, always at the same port."""

    spec: ProcessSpec
    pipe: int
    """A `parent_death_pipe`."""
    first_delay_s: float
    """Before it is started again the first time."""

    def __post_init__(self) -> None:
        self._reserved = processes.reserve_port()
        self._deaths = DeathCount(self.first_delay_s)
        self._started_s = time.monotonic()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        number: int = self._reserved.getsockname()[1]
        return number

    @property
    def has_died(self) -> bool:
        """Whether it ever exited by itself."""
        return self._deaths.num > 0

    async def start(self) -> ServiceProcess:
        """Start it.

        Raises:
            OSError: the system has no memory or processes left.
        """
        self._started_s = time.monotonic()
        listener = run.listen(LOOPBACK, self.port)
        return await processes.start(self.spec, listener, self.pipe)

    async def keep_running(
        self, services: list[ServiceProcess], index: int, is_ready: asyncio.Event
    ) -> None:
        """Keep `services[index]` running; returns when it has died too often in a row.

        Raises:
            UnexpectedExit: it exited before the fleet was ready, as with a wrong option.
        """
        while True:
            returncode = await services[index].wait()
            if not is_ready.is_set():
                raise UnexpectedExit(services[index], returncode)
            services[index].kill_group()  # what it has started may outlive it
            delay_s = self._deaths.restart_delay_s(time.monotonic() - self._started_s)
            death = messages.Death(self.spec.name, returncode, self._log())
            if delay_s is None:
                terminal.print_status(messages.not_restarted(death, str(self.spec.log)))
                return
            terminal.print_status(messages.restarting(death, delay_s))
            await asyncio.sleep(delay_s)
            try:
                services[index] = await self.start()
            except OSError as error:  # one more death
                terminal.print_status(messages.not_started(self.spec.name, str(error)))
            else:
                terminal.print_status(messages.restarted(self.spec.name))

    def close(self) -> None:
        """Give the port back."""
        self._reserved.close()

    def _log(self) -> str:
        return self.spec.log.read_text("utf-8", "replace")
