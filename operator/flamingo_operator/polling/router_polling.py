"""Ask the routers of every deployment, again and again, beside the passes.

A pass never waits for a router: it takes what was heard last. Each time makes the
deployment's turn come, so that a need that lasts is seen to last. Where the demand
decides nothing, in mode External, servers' capacity and starts are learned at leisure.
"""

import asyncio
import random
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from flamingo_common.service import logs
from flamingo_operator.cluster.observed import Observed
from flamingo_operator.cluster.store import Resource, Store
from flamingo_operator.polling.routers_load import RoutersLoad
from flamingo_operator.scaling import capacity, replicas, signals
from flamingo_operator.scaling.replicas import Signals
from flamingo_operator.scaling.signals import RouterSignal
from flamingo_operator.telemetry.metrics import Metrics

LEISURE = 12
"""In mode External routers are asked every so many rounds, not all in the same one."""
UNKNOWN = "unknown"
"""Product of a GPU whose node cannot be seen."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the routers of one deployment said."""

    uid: str
    capacity: capacity.Memory
    signals: Mapping[str, RouterSignal] = field(default_factory=dict)
    """The last word of each router, by its pod's name."""


@dataclass(slots=True)
class Listening:
    """All that was heard, by deployment."""

    store: Store
    load: RoutersLoad
    metrics: Metrics
    heard: Callable[[str], None]
    """Told the key of a deployment whose routers were just asked."""
    period_s: float
    now: Callable[[], float] = time.time
    _words: dict[str, Heard] = field(default_factory=dict)
    _num_rounds: int = 0

    async def run(self) -> None:
        """Listen for ever."""
        while True:
            await self.round()
            await asyncio.sleep(self.period_s * random.uniform(0.9, 1.1))  # noqa: S311 - jitter

    async def round(self) -> None:
        """Ask all that are due once; a slow one delays the others by its time limit at most."""
        known = {
            key: resource
            for key in self.store.deployment_keys()
            if (resource := self.store.resource(key)) is not None and not resource.is_terminating
        }
        self._words = {key: word for key, word in self._words.items() if key in known}
        asked = [one for one in known.items() if self._is_due(*one)]
        self._num_rounds += 1
        await asyncio.gather(*(self._safely(key, resource) for key, resource in asked))

    def _is_due(self, key: str, resource: Resource) -> bool:
        turn = self._num_rounds + zlib.crc32(key.encode())
        return _is_internal(resource) or turn % LEISURE == 0

    async def _safely(self, key: str, resource: Resource) -> None:
        try:
            await self._ask(key, resource)
        except Exception:  # noqa: BLE001 - a bug that one router brings out must not deafen us
            logs.get().exception("listening.failed", key=key)

    async def _ask(self, key: str, resource: Resource) -> None:
        observed = self.store.observed(key, resource.uid)
        routers = [one for one in observed.routers if one.is_ready]
        if not routers and not _is_internal(resource):
            return
        bodies = await self.load.read(routers)
        self.metrics.router_reads.labels("answered").inc(len(bodies))
        self.metrics.router_reads.labels("silent").inc(len(routers) - len(bodies))
        self._words[key] = self._with(key, resource, observed, bodies)
        self.heard(key)

    def _with(
        self, key: str, resource: Resource, observed: Observed, bodies: Mapping[str, Any]
    ) -> Heard:
        before, now_s = self._word(key, resource), self.now()
        products = {pod.ip: _product(observed, pod.node) for pod in observed.pods if pod.ip}
        reports = [
            (_host(address), report)
            for body in bodies.values()
            for address, report in signals.reports(body)
        ]
        starts = {ip: report.start for ip, report in reports if report.start is not None}
        self.store.put_start_reports(key, starts)
        told = [(products.get(ip, UNKNOWN), report) for ip, report in reports]
        ready = {one.ref.name for one in observed.routers if one.is_ready}
        spoken = {name: signals.parse(body, seen_s=now_s) for name, body in bodies.items()}
        kept = {name: one for name, one in before.signals.items() if name in ready}
        return replace(
            before, capacity=capacity.learned(before.capacity, told), signals=kept | spoken
        )

    def _word(self, key: str, resource: Resource) -> Heard:
        known = self._words.get(key)
        if known is not None and known.uid == resource.uid:
            return known
        rates = replicas.remembered(resource.body.get("status", {})).rates
        return Heard(resource.uid, capacity.restored(rates))

    def signals(self, key: str, resource: Resource, observed: Observed, now_s: float) -> Signals:
        """Return what is known of the demand, and of what servers take."""
        word = self._word(key, resource)
        num_routers = sum(one.is_ready for one in observed.routers)
        num_pods: dict[str, int] = {}
        for pod in observed.pods:
            if pod.is_active and pod.is_ready:
                product = _product(observed, pod.node)
                num_pods[product] = num_pods.get(product, 0) + 1
        return Signals(
            demand=signals.demand(word.signals, num_routers=num_routers, now_s=now_s),
            audio_s_per_s=capacity.mean_rate(word.capacity, num_pods),
            rates={
                product: capacity.rate(measured)
                for product, measured in word.capacity.products.items()
                if measured.num_requests
            },
        )


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _product(observed: Observed, node: str) -> str:
    known = observed.nodes.get(node)
    return known.product if known is not None and known.product else UNKNOWN


def _is_internal(resource: Resource) -> bool:
    scaling = resource.body["spec"].get("scaling") or {}
    return scaling.get("mode") == "Internal"
