"""Each pod's load report → the fleet, a few times a second."""

import asyncio
import random
import time
from dataclasses import dataclass

import aiohttp

from flamingo.service import logs
from flamingo.wire.report import LoadReport
from flamingo_router.fleet import Fleet
from flamingo_router.pod_key import PodKey

JITTER = 0.2
"""So that several routers do not ask in step."""


@dataclass(frozen=True)
class Asking:
    """How pods are asked."""

    session: aiohttp.ClientSession
    key: PodKey
    timeout_s: float


async def keep_polling(fleet: Fleet, address: str, asking: Asking, *, poll_s: float) -> None:
    """Ask the pod at `address` for its load, for ever."""
    was_ready = False
    while True:
        try:
            await _observe(fleet, address, asking)
        except Exception:  # noqa: BLE001 - a bug in reading one pod must not end the router
            logs.get().exception("load.poll_failed", endpoint=address)
        is_ready = fleet.endpoint(address, now_s=time.monotonic()).is_ready
        if is_ready != was_ready:
            logs.get().info("endpoint.joined" if is_ready else "endpoint.left", endpoint=address)
        was_ready = is_ready
        await asyncio.sleep(poll_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret


async def _observe(fleet: Fleet, address: str, asking: Asking) -> None:
    asked_s = time.monotonic()
    patience = aiohttp.ClientTimeout(total=asking.timeout_s)
    try:
        async with asking.session.get(
            f"{address}/stats", timeout=patience, headers=asking.key.headers
        ) as answer:
            answer.raise_for_status()
            load = LoadReport.model_validate_json(await answer.read())
    except aiohttp.ClientConnectorError:
        fleet.set_aside(address, now_s=time.monotonic())  # nobody listens there
    except (aiohttp.ClientError, OSError, ValueError):
        return  # no report is no news: the last one goes stale
    else:
        fleet.observe(address, load, asked_s=asked_s)
