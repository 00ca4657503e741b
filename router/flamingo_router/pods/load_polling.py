"""Each pod's load report → the balancer, a few times a second."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from flamingo_common.service import logs
from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing.fleet import SILENT
from flamingo_router.pods.pod_key import PodKey
from flamingo_router.relay.admission import Lobby

JITTER = 0.2
"""So that several routers do not ask in step."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to ask, how long to wait for an answer, and the key to show."""

    poll_interval_s: float
    timeout_s: float
    key: PodKey


class Polls:
    """The asking of every pod that the fleet knows."""

    def __init__(
        self,
        lobby: Lobby,
        session: aiohttp.ClientSession,
        pace: Pace,
        *,
        on_silent: Callable[[str], object],
    ) -> None:
        """Ask nobody yet; `on_silent` is called with a pod that has stopped to answer."""
        self._lobby = lobby
        self._on_silent = on_silent
        self._session = session
        self._pace = pace
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def follow(self, tasks: asyncio.TaskGroup) -> None:
        """Ask those that are new, and those no more that are gone."""
        known = set(self._lobby.balancer.fleet.addresses)
        for address in self._tasks.keys() - known:
            self._tasks.pop(address).cancel()
        for address in known - self._tasks.keys():
            self._tasks[address] = tasks.create_task(self._keep_asking(address))

    def stop(self) -> None:
        """Ask nobody any more."""
        for task in self._tasks.values():
            task.cancel()

    async def _keep_asking(self, address: str) -> None:
        """Ask the pod at `address` for its load, for ever."""
        fleet, was_ready, was_silent = self._lobby.balancer.fleet, False, True
        while fleet.knows(address):
            try:
                await self._observe(address)
            except Exception:  # noqa: BLE001 - a bug in reading one pod must not end the router
                logs.get().exception("load.poll_failed", endpoint=address)
            if not fleet.knows(address):
                break
            endpoint = fleet.endpoint(address, now_s=time.monotonic())
            if endpoint.is_ready != was_ready:
                event = "endpoint.joined" if endpoint.is_ready else "endpoint.left"
                logs.get().info(event, endpoint=address, reason=endpoint.reason)
            is_silent = endpoint.reason == SILENT
            if is_silent and not was_silent:
                self._on_silent(address)
            was_ready, was_silent = endpoint.is_ready, is_silent
            spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
            await asyncio.sleep(self._pace.poll_interval_s * spread)

    async def _observe(self, address: str) -> None:
        asked_s = time.monotonic()
        patience = aiohttp.ClientTimeout(total=self._pace.timeout_s)
        try:
            headers = self._pace.key.headers
            async with self._session.get(
                f"{address}/stats", timeout=patience, headers=headers
            ) as answer:
                answer.raise_for_status()
                load = LoadReport.model_validate_json(await answer.read())
        except aiohttp.ClientConnectorError:
            # Nobody listens there.
            self._lobby.balancer.fleet.set_aside(address, now_s=time.monotonic())
        except (aiohttp.ClientError, OSError, ValueError):
            return  # no report is no news: the last one goes stale
        else:
            self._lobby.observe(address, load, asked_s=asked_s)
