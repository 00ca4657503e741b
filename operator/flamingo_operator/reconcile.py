"""Make the cluster what one FlamingoDeployment says: observe, decide, apply, report.

This file asks and acts; every decision is made by the pure modules that it calls.
It is level-triggered: it looks at what is, never at what changed. So a second
pass does nothing, and a missed event costs time but never correctness.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flamingo.service import logs
from flamingo_operator import kinds, moments, names, report, spec
from flamingo_operator.apply import NOT_FOUND, apply
from flamingo_operator.decide import Decision, decide
from flamingo_operator.kube import ApiError, Kube
from flamingo_operator.manifests import Release
from flamingo_operator.metrics import Metrics
from flamingo_operator.observed import Observed
from flamingo_operator.pods_load import PodsLoad
from flamingo_operator.replicas import Memory, desired_replicas
from flamingo_operator.report import Event
from flamingo_operator.spec import FlamingoDeployment
from flamingo_operator.store import Resource, Store


@dataclass(slots=True)
class Reconciler:
    """What a pass needs."""

    kube: Kube
    store: Store
    release: Release
    pods_load: PodsLoad
    metrics: Metrics
    identity: str
    now: Callable[[], float] = time.time

    async def reconcile(self, key: str) -> float | None:
        """Do one pass; return in how many seconds to look again, if at all.

        Raises:
            Stale: something changed meanwhile; look again.
            ApiError: the API server failed; look again later.
        """
        resource = self.store.resource(key)
        if resource is None or resource.is_leaving:
            # The garbage collector removes what is owned; we must not make it anew.
            self.metrics.forget(key)
            return None
        try:
            deployment = spec.parse(resource.body)
        except spec.SpecError as error:
            await self._refuse(resource, error.faults)
            return None
        return await self._pass(key, resource, deployment)

    async def _pass(
        self, key: str, resource: Resource, deployment: FlamingoDeployment
    ) -> float | None:
        now_s = self.now()
        observed = self.store.observed(key, resource.uid)
        decision = self._decide(deployment, observed, now_s)
        if decision.asks:
            observed = replace(observed, loads=await self.pods_load.read(decision.asks))
            decision = self._decide(deployment, observed, now_s)
        refusals: list[str] = []
        if deployment.spec.mode == "Apply":
            refusals = await apply(self.kube, self.store, decision.actions)
        old = resource.body.get("status", {})
        new = report.status(deployment, observed, decision, refusals, (old, now_s))
        await self._tell(resource, new)
        self.metrics.show(key, new)
        if refusals:
            raise ApiError(0, "; ".join(refusals))
        return None if decision.wake_s is None else max(0.0, decision.wake_s - self.now())

    def _decide(self, deployment: FlamingoDeployment, observed: Observed, now_s: float) -> Decision:
        desired = desired_replicas(deployment.spec, None, Memory(), now_s)
        return decide(deployment, observed, self.release, desired, now_s)

    async def _refuse(self, resource: Resource, faults: list[str]) -> None:
        generation, old = resource.metadata["generation"], resource.body.get("status", {})
        await self._tell(resource, report.unreadable(generation, faults, old, self.now()))

    async def _tell(self, resource: Resource, status: dict[str, Any]) -> None:
        """Write the status and its events, if there is anything new in it."""
        old: Mapping[str, Any] = resource.body.get("status", {})
        if status == old:
            return
        metadata = {key: resource.metadata[key] for key in ("name", "namespace", "uid")}
        manifest = {
            "apiVersion": kinds.RESOURCE.version,
            "kind": kinds.RESOURCE.name,
            "metadata": metadata,
            "status": status,
        }
        try:
            raw = await self.kube.apply(kinds.RESOURCE, manifest, subresource="status")
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            self.store.drop_resource(resource.body)
            return
        self.store.put_resource(raw)
        told = [self._post(resource, event) for event in report.events(old, status)]
        await asyncio.gather(*told)

    async def _post(self, resource: Resource, event: Event) -> None:
        """Post an event; one that is lost is no reason to fail a pass that did its work."""
        moment = moments.encode(self.now())
        about = {key: resource.metadata[key] for key in ("name", "namespace", "uid")}
        body = {
            "metadata": {
                "generateName": f"{about['name']}-",
                "namespace": about["namespace"],
            },
            "involvedObject": {
                "apiVersion": kinds.RESOURCE.version,
                "kind": kinds.RESOURCE.name,
                "resourceVersion": resource.metadata["resourceVersion"],
                **about,
            },
            "type": "Warning" if event.is_warning else "Normal",
            "reason": event.reason,
            "message": event.message[:1024],
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
            "reportingComponent": names.FIELD_MANAGER,
            "reportingInstance": self.identity,
            "source": {"component": names.FIELD_MANAGER},
        }
        try:
            await self.kube.create(kinds.EVENT, body)
        except ApiError as error:
            logs.get().warning("event.lost", reason=event.reason, error=error.message)
