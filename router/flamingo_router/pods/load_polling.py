"""Polls each pod's load report, with the router's own API key, and passes it to the balancer."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from flamingo_common import errors
from flamingo_common.errors import FlamingoError, HostNotAllowed, InvalidApiKey, PermissionDenied
from flamingo_common.service import logs
from flamingo_common.service.sent_key import SentKey
from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing.endpoint import Endpoint
from flamingo_router.balancing.fleet import KEY_REFUSED, NAME_REFUSED, UNREACHABLE
from flamingo_router.relay.admission import AdmissionQueue

JITTER = 0.2
"""Relative; keeps several routers from polling at the same time."""

IDLE_FACTOR = 4
"""How much less often a pod without any work is polled: else polls are most of a router's load."""
MAX_IN_FLIGHT = 128
"""Polls at the same time."""
REFUSALS: Mapping[type[FlamingoError], str] = {
    InvalidApiKey: KEY_REFUSED,
    PermissionDenied: KEY_REFUSED,
    HostNotAllowed: NAME_REFUSED,
}
"""By error: an unknown key, or none; a key that may not observe; a name in the pod's address."""
REFUSAL_HINTS: Mapping[str, str] = {
    KEY_REFUSED: (
        "the pod refuses the router's key: set --pod-key-file to a key of the pod's key file"
        " that may observe"
    ),
    NAME_REFUSED: (
        "the pod may not be called by the name in its address: give its IP address to the router,"
        " or add the name to --allowed-hosts of the pod"
    ),
}
FIRST_POLLS_S = 0.002
"""The first polls of a fleet are spread over this time for each pod."""


@dataclass(frozen=True, slots=True)
class PollOptions:
    """How often to poll, how long to wait for a report, and the API key to send."""

    interval_s: float
    timeout_s: float
    key: SentKey


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
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)

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
        fleet, was_ready, last_reason = self._queue.balancer.fleet, False, UNREACHABLE
        stats = URL(f"{address}/stats")  # parsed once: it is a twentieth of a poll
        await asyncio.sleep(random.uniform(0, FIRST_POLLS_S * len(self._tasks)))  # noqa: S311
        while address in fleet:
            try:
                async with self._in_flight:
                    await self._poll(address, stats)
            except Exception:  # noqa: BLE001 - a bug in parsing one report must not end the router
                logs.get().exception("load.poll_failed", endpoint=address)
            if address not in fleet:
                break
            endpoint = fleet.endpoint_at(address, now_s=time.monotonic())
            if endpoint.is_ready != was_ready:
                event = "endpoint.ready" if endpoint.is_ready else "endpoint.not_ready"
                logs.get().info(event, endpoint=address, reason=endpoint.reason)
            if endpoint.reason != last_reason:
                self._on_reason(address, endpoint.reason)
            was_ready, last_reason = endpoint.is_ready, endpoint.reason
            interval_s = self._options.interval_s * (IDLE_FACTOR if _is_idle(endpoint) else 1)
            spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
            await asyncio.sleep(interval_s * spread)

    def _on_reason(self, address: str, reason: str) -> None:
        if reason == UNREACHABLE:
            self._on_unreachable(address)
        elif (hint := REFUSAL_HINTS.get(reason)) is not None:
            logs.get().warning(f"endpoint.{reason}", endpoint=address, hint=hint)

    async def _poll(self, address: str, stats: URL) -> None:
        requested_s = time.monotonic()
        fleet = self._queue.balancer.fleet
        late_s = fleet.lag.last_s  # the report may wait to be read as long
        timeout = aiohttp.ClientTimeout(total=self._options.timeout_s + late_s)
        headers = {"Accept-Encoding": "identity"} | dict(self._options.key.headers)
        try:
            async with self._session.get(stats, timeout=timeout, headers=headers) as response:
                status, body = response.status, await response.read()
            if status >= errors.BadRequest.status:
                fleet.mark_unreported(address, refusal_in(status, body))
                return
            load = LoadReport.model_validate_json(body)
        except aiohttp.ClientConnectorError:  # nothing listens there
            fleet.mark_stale(address, now_s=time.monotonic())
            fleet.mark_unreported(address)
        except (aiohttp.ClientError, OSError, ValueError):  # the last report becomes stale
            fleet.mark_unreported(address)
        else:
            self._queue.observe(address, load, requested_s=requested_s)


def refusal_in(status: int, body: bytes) -> str:
    """Return why a pod has refused to report; empty for other errors."""
    return REFUSALS.get(type(errors.from_response(status, body)), "")


def _is_idle(endpoint: Endpoint) -> bool:
    """Return whether a ready pod has no work, ours or that of others."""
    load = endpoint.load
    is_busy = load is None or load.num_running or load.num_waiting or load.backlog_s
    return endpoint.is_ready and not endpoint.num_in_flight and not is_busy
