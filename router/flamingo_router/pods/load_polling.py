"""Polls each pod's load report, with the router's own API key, and passes it to the balancer."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from flamingo_common.service import logs
from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing.fleet import UNREACHABLE
from flamingo_router.pods.pod_key import PodKey
from flamingo_router.relay.admission import AdmissionQueue

JITTER = 0.2
"""Relative; keeps several routers from polling at the same time."""


@dataclass(frozen=True, slots=True)
class PollOptions:
    """How often to poll, how long to wait for a report, and the API key to send."""

    interval_s: float
    timeout_s: float
    key: PodKey


class LoadPoller:
    """One polling task for each pod that the fleet knows."""

    def __init__(
        self,
        queue: AdmissionQueue,
        session: aiohttp.ClientSession,
        options: PollOptions,
        *,
        on_unreachable: Callable[[str], object],
    ) -> None:
        """Create a poller; `on_unreachable` is called with the address of each unreachable pod."""
        self._queue = queue
        self._on_unreachable = on_unreachable
        self._session = session
        self._options = options
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def update_members(self, group: asyncio.TaskGroup) -> None:
        """Start a task in `group` for each new pod, and cancel those of removed pods."""
        known = set(self._queue.balancer.fleet.addresses)
        for address in self._tasks.keys() - known:
            self._tasks.pop(address).cancel()
        for address in known - self._tasks.keys():
            self._tasks[address] = group.create_task(self._keep_polling(address))

    def stop(self) -> None:
        """Cancel all tasks."""
        for task in self._tasks.values():
            task.cancel()

    async def _keep_polling(self, address: str) -> None:
        """Poll the pod at `address` until it is removed; log when it becomes ready or not."""
        fleet, was_ready, was_unreachable = self._queue.balancer.fleet, False, True
        while address in fleet:
            try:
                await self._poll(address)
            except Exception:  # noqa: BLE001 - a bug in parsing one report must not end the router
                logs.get().exception("load.poll_failed", endpoint=address)
            if address not in fleet:
                break
            endpoint = fleet.endpoint_at(address, now_s=time.monotonic())
            if endpoint.is_ready != was_ready:
                event = "endpoint.ready" if endpoint.is_ready else "endpoint.not_ready"
                logs.get().info(event, endpoint=address, reason=endpoint.reason)
            is_unreachable = endpoint.reason == UNREACHABLE
            if is_unreachable and not was_unreachable:
                self._on_unreachable(address)
            was_ready, was_unreachable = endpoint.is_ready, is_unreachable
            spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
            await asyncio.sleep(self._options.interval_s * spread)

    async def _poll(self, address: str) -> None:
        requested_s = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=self._options.timeout_s)
        headers = self._options.key.headers
        try:
            async with self._session.get(
                f"{address}/stats", timeout=timeout, headers=headers
            ) as response:
                response.raise_for_status()
                load = LoadReport.model_validate_json(await response.read())
        except aiohttp.ClientConnectorError:  # nothing listens there
            self._queue.balancer.fleet.mark_stale(address, now_s=time.monotonic())
        except (aiohttp.ClientError, OSError, ValueError):
            return  # the last report becomes stale
        else:
            self._queue.observe(address, load, requested_s=requested_s)
