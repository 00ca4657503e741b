"""Exchanges with the other routers what each caller has spent of its limits."""

import asyncio
import random
import time
from collections.abc import Collection

import aiohttp

from flamingo_common.service import logs
from flamingo_common.wire.report import QuotaReport
from flamingo_router.balancing.quota import Quotas
from flamingo_router.pods.load_polling import IDLE_FACTOR, JITTER, PollOptions

PATH = "/quotas"


class QuotaExchange:
    """Polls the other routers' reports, and ends each round with `Quotas.settle`."""

    def __init__(
        self, quotas: Quotas, session: aiohttp.ClientSession, options: PollOptions
    ) -> None:
        self._quotas = quotas
        self._session = session
        self._options = options
        self._members: frozenset[str] = frozenset()
        self._own_address = ""
        self._unheard: set[str] = set()
        """Members whose last poll failed, which is logged once."""

    def set_members(self, addresses: Collection[str]) -> None:
        """Replace the routers, of which this one is one."""
        self._members = frozenset(addresses)
        self._quotas.set_members(self._members, now_s=time.monotonic())

    async def keep_exchanging(self) -> None:
        """Poll all members again and again, until cancelled; less often while nothing is spent."""
        while True:
            before = self._quotas.report()
            async with asyncio.TaskGroup() as group:
                for address in self._members - {self._own_address}:
                    group.create_task(self._poll(address))
            self._quotas.settle(now_s=time.monotonic())
            factor = IDLE_FACTOR if self._quotas.report().callers == before.callers else 1
            spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
            await asyncio.sleep(self._options.interval_s * factor * spread)

    async def _poll(self, address: str) -> None:
        timeout = aiohttp.ClientTimeout(total=self._options.timeout_s)
        headers = {"Accept-Encoding": "identity"} | dict(self._options.key.headers)
        try:
            async with self._session.get(
                address + PATH, timeout=timeout, headers=headers
            ) as response:
                response.raise_for_status()
                report = QuotaReport.model_validate_json(await response.read())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if address not in self._unheard:
                logs.get().warning("quota.peer_unreachable", peer=address, error=repr(error))
            self._unheard.add(address)
            return
        self._unheard.discard(address)
        if report.epoch == self._quotas.epoch:
            self._own_address = address
            return
        self._quotas.observe(address, report, now_s=time.monotonic())
