"""Polls the routers of every deployment, independently of reconciliations.

A reconciliation never waits for a router: it takes the last report. Each poll enqueues the
deployment, so that stabilization windows elapse even if nothing else changes. In mode External,
where the demand is not used, routers are polled rarely, for the pods' capacity and cold starts.
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
from flamingo_operator.polling.router_load_client import RouterLoadClient
from flamingo_operator.scaling import capacity, demand, replicas
from flamingo_operator.scaling.capacity import CapacityState
from flamingo_operator.scaling.demand import DemandReport
from flamingo_operator.scaling.replicas import DemandAndCapacity
from flamingo_operator.telemetry.metrics import Metrics

EXTERNAL_MODE_ROUNDS = 12
"""In mode External routers are polled every so many rounds, not all in the same one."""
UNKNOWN = "unknown"
"""Product of a GPU whose node cannot be listed."""


@dataclass(frozen=True, slots=True)
class RouterReports:
    """What the routers of one deployment reported."""

    uid: str
    """The deployment's."""
    capacity: CapacityState
    demand: Mapping[str, DemandReport] = field(default_factory=dict)
    """The last report of each router, by its pod's name."""


@dataclass(slots=True)
class RouterPoller:
    """The last reports of all routers, by deployment, and the loop that reads them."""

    store: Store
    client: RouterLoadClient
    metrics: Metrics
    on_polled: Callable[[str], None]
    """Called with the key of a deployment whose routers were just polled."""
    interval_s: float
    now: Callable[[], float] = time.time
    _reports: dict[str, RouterReports] = field(default_factory=dict)
    _num_rounds: int = 0

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await self.poll_once()
            await asyncio.sleep(self.interval_s * random.uniform(0.9, 1.1))  # noqa: S311 - jitter

    async def poll_once(self) -> None:
        """Poll all routers that are due; a slow one delays the others by its timeout at most."""
        known = {
            key: resource
            for key in self.store.deployment_keys()
            if (resource := self.store.resource(key)) is not None and not resource.is_terminating
        }
        self._reports = {key: one for key, one in self._reports.items() if key in known}
        due = [one for one in known.items() if self._is_due(*one)]
        self._num_rounds += 1
        await asyncio.gather(*(self._poll_safely(key, resource) for key, resource in due))

    def _is_due(self, key: str, resource: Resource) -> bool:
        turn = self._num_rounds + zlib.crc32(key.encode())
        return _is_internal(resource) or turn % EXTERNAL_MODE_ROUNDS == 0

    async def _poll_safely(self, key: str, resource: Resource) -> None:
        try:
            await self._poll(key, resource)
        except Exception:  # noqa: BLE001 - a bug with one router's report must not stop all polling
            logs.get().exception("router_poll.failed", key=key)

    async def _poll(self, key: str, resource: Resource) -> None:
        observed = self.store.observed(key, resource.uid)
        routers = [one for one in observed.routers if one.is_ready]
        if not routers and not _is_internal(resource):
            return
        bodies = await self.client.read(routers)
        self.metrics.router_reads.labels("succeeded").inc(len(bodies))
        self.metrics.router_reads.labels("failed").inc(len(routers) - len(bodies))
        self._reports[key] = self._with_bodies(key, resource, observed, bodies)
        self.on_polled(key)

    def _with_bodies(
        self, key: str, resource: Resource, observed: Observed, bodies: Mapping[str, Any]
    ) -> RouterReports:
        before, now_s = self._reports_of(key, resource), self.now()
        products = {pod.ip: _product(observed, pod.node) for pod in observed.pods if pod.ip}
        pod_reports = [
            (_host(address), report)
            for body in bodies.values()
            for address, report in demand.pod_reports(body)
        ]
        starts = {ip: report.start for ip, report in pod_reports if report.start is not None}
        self.store.put_start_reports(key, starts)
        by_product = [(products.get(ip, UNKNOWN), report) for ip, report in pod_reports]
        ready = {one.ref.name for one in observed.routers if one.is_ready}
        new = {name: demand.parse_report(body, received_s=now_s) for name, body in bodies.items()}
        kept = {name: one for name, one in before.demand.items() if name in ready}
        return replace(
            before,
            capacity=capacity.with_reports(before.capacity, by_product),
            demand=kept | new,
        )

    def _reports_of(self, key: str, resource: Resource) -> RouterReports:
        known = self._reports.get(key)
        if known is not None and known.uid == resource.uid:
            return known
        rates = replicas.from_status(resource.body.get("status", {})).rates
        return RouterReports(resource.uid, capacity.restored_state(rates))

    def demand_and_capacity(
        self, key: str, resource: Resource, observed: Observed, now_s: float
    ) -> DemandAndCapacity:
        """Return what is known of the demand, and of what a pod can process."""
        reports = self._reports_of(key, resource)
        num_routers = sum(one.is_ready for one in observed.routers)
        num_pods: dict[str, int] = {}
        for pod in observed.pods:
            if pod.is_active and pod.is_ready:
                product = _product(observed, pod.node)
                num_pods[product] = num_pods.get(product, 0) + 1
        return DemandAndCapacity(
            demand=demand.fleet_demand(reports.demand, num_routers=num_routers, now_s=now_s),
            audio_s_per_s=capacity.mean_pod_rate(reports.capacity, num_pods),
            rates={
                product: capacity.pod_rate(measured)
                for product, measured in reports.capacity.products.items()
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
