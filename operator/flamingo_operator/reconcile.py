"""Make the cluster what one FlamingoDeployment says: observe, decide, apply, report.

This file asks and acts; every decision is made by the pure modules that it calls.
It is level-triggered: it looks at what is, never at what changed. So a second
pass does nothing, and a missed event costs time but never correctness.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flamingo_common.service import logs
from flamingo_operator.api import names, spec, timestamps
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.apply import NOT_FOUND, apply
from flamingo_operator.cluster.kube import ApiError, KubeClient
from flamingo_operator.cluster.observed import Observed
from flamingo_operator.cluster.store import Resource, Store
from flamingo_operator.decide import Decision, decide
from flamingo_operator.manifests.common import Release
from flamingo_operator.polling.pods_load import PodsLoad
from flamingo_operator.polling.router_polling import Listening
from flamingo_operator.reporting import status
from flamingo_operator.reporting.status import Event
from flamingo_operator.rollout import node_avoidance
from flamingo_operator.scaling.autoscale import Servers
from flamingo_operator.scaling.replicas import Desired, Memory, desired_replicas, remembered
from flamingo_operator.telemetry import server_lifecycle
from flamingo_operator.telemetry.metrics import Metrics
from flamingo_operator.telemetry.server_lifecycle import ServerState


@dataclass(slots=True)
class Reconciler:
    """What a pass needs."""

    kube: KubeClient
    store: Store
    release: Release
    pods_load: PodsLoad
    listening: Listening
    metrics: Metrics
    identity: str
    now: Callable[[], float] = time.time
    _memories: dict[str, tuple[str, Memory]] = field(default_factory=dict)
    """What scaling remembers of each deployment, and which uid it had."""
    _lives: dict[str, dict[str, ServerState]] = field(default_factory=dict)
    """Each deployment's servers at the last look, to count what becomes of them."""

    async def reconcile(self, key: str) -> float | None:
        """Do one pass; return in how many seconds to look again, if at all.

        Raises:
            Stale: something changed meanwhile; look again.
            ApiError: the API server failed; look again later.
        """
        resource = self.store.resource(key)
        if resource is None or resource.is_terminating:
            # The garbage collector removes what is owned; we must not make it anew.
            self.metrics.remove(key)
            self._memories.pop(key, None)
            self._lives.pop(key, None)
            return None
        try:
            deployment = spec.parse(resource.body)
        except spec.SpecError as error:
            await self._refuse(resource, error.errors)
            return None
        return await self._pass(key, resource, deployment)

    async def _pass(
        self, key: str, resource: Resource, deployment: FlamingoDeployment
    ) -> float | None:
        now_s = self.now()
        avoided = node_avoidance.remembered(resource.body.get("status", {}))
        observed = replace(self.store.observed(key, resource.uid), avoided=avoided)
        desired = self._desired(key, resource, deployment, observed)
        decision = decide(deployment, observed, self.release, desired, now_s)
        if decision.asks:
            observed = replace(observed, loads=await self.pods_load.read(decision.asks))
            decision = decide(deployment, observed, self.release, desired, now_s)
        if decision.takes_over and not await self._stands(resource):
            return None
        self._count(key, deployment, observed, decision)
        refusals: list[str] = []
        if deployment.spec.mode == "Apply":
            resource = await self._promise(key, resource, decision)
            refusals = await apply(self.kube, self.store, decision.actions)
        old = resource.body.get("status", {})
        new = status.status(deployment, observed, decision, refusals, (old, now_s))
        await self._tell(resource, new)
        if refusals:
            raise ApiError(0, "; ".join(refusals))
        return None if decision.wake_s is None else max(0.0, decision.wake_s - self.now())

    async def _stands(self, resource: Resource) -> bool:
        """Ask whether a deployment is there still and stays, before it takes anything over.

        While it is deleted with `--cascade=orphan`, its objects lose their owner, and we
        may hear of that first: tied to it again, they would be deleted with it.
        """
        metadata = resource.metadata
        found = await self.kube.find(kinds.RESOURCE, metadata["namespace"], metadata["name"])
        if found is not None:
            self.store.put_resource(found)
        if found is None or found["metadata"]["uid"] != resource.uid:
            self.store.drop_resource(resource.body)
            return False
        return "deletionTimestamp" not in found["metadata"]

    def _desired(
        self, key: str, resource: Resource, deployment: FlamingoDeployment, observed: Observed
    ) -> Desired:
        uid, memory = self._memories.get(key, ("", Memory()))
        if uid != resource.uid:
            memory = remembered(resource.body.get("status", {}))
        now_s = self.now()
        signals = self.listening.signals(key, resource, observed, now_s)
        desired = desired_replicas(deployment.spec, signals, memory, _servers(observed), now_s)
        self._memories[key] = (resource.uid, desired.memory)
        bound = _new_bound(desired, memory)
        if bound is not None and deployment.spec.mode == "Apply":
            self.metrics.lifecycle.count_scale_decision(key, bound)
        self.metrics.set_demand(key, desired.needed, desired.audio_s_per_s)
        return desired

    def _count(
        self, key: str, deployment: FlamingoDeployment, observed: Observed, decision: Decision
    ) -> None:
        """Count what became of servers since the last look; what is planned becomes of none."""
        actions = decision.actions if deployment.spec.mode == "Apply" else ()
        longest_s = deployment.spec.server.startup_deadline_seconds
        self._lives[key], news = server_lifecycle.lifecycle_events(
            self._lives.get(key, {}), observed, actions, self.now(), longest_s
        )
        self.metrics.lifecycle.observe_starts(news.starts, news.process_phases)
        self.metrics.lifecycle.count_drains(key, news.drains)

    async def _promise(self, key: str, resource: Resource, decision: Decision) -> Resource:
        """Write down what a successor could not find out anew, before it is acted upon.

        A number that the demand chose: it would take servers away that were made a
        moment ago. A node that is avoided: the server that told of it is about to go.
        """
        old = resource.body.get("status", {})
        promised = status.promised(old, decision)
        if promised == old:
            return resource
        await self._tell(resource, promised)
        return self.store.resource(key) or resource

    async def _refuse(self, resource: Resource, faults: list[str]) -> None:
        generation, old = resource.metadata["generation"], resource.body.get("status", {})
        await self._tell(resource, status.unreadable(generation, faults, old, self.now()))

    async def _tell(self, resource: Resource, new: dict[str, Any]) -> None:
        """Write the status and its events, if there is anything new in it."""
        old: Mapping[str, Any] = resource.body.get("status", {})
        if new == old:
            return
        metadata = {key: resource.metadata[key] for key in ("name", "namespace", "uid")}
        manifest = {
            "apiVersion": kinds.RESOURCE.version,
            "kind": kinds.RESOURCE.name,
            "metadata": metadata,
            "status": new,
        }
        try:
            raw = await self.kube.apply(kinds.RESOURCE, manifest, subresource="status")
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            self.store.drop_resource(resource.body)
            return
        self.store.put_resource(raw)
        told = [self._post(resource, event) for event in status.events(old, new)]
        await asyncio.gather(*told)

    async def _post(self, resource: Resource, event: Event) -> None:
        """Post an event; one that is lost is no reason to fail a pass that did its work."""
        moment = timestamps.encode(self.now())
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


def _new_bound(desired: Desired, before: Memory) -> str | None:
    """Return what bounds a number, if scaling told another number or bound before."""
    if desired.told is None:
        return None
    num = before.scaling.desired if before.scaling else None
    bound = before.told.bound if before.told else None
    return desired.told.bound if (desired.num, desired.told.bound) != (num, bound) else None


def _servers(observed: Observed) -> Servers:
    return Servers(
        num_ready=sum(pod.is_active and pod.is_ready for pod in observed.pods),
        num_draining=sum(pod.is_draining or pod.is_terminating for pod in observed.pods),
    )
