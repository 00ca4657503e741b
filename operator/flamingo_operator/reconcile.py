"""Reconciles one FlamingoDeployment: observe, decide, apply, report.

How it works. One call of `Reconciler.reconcile`:

1. reads the deployment and its objects from the store, which watches keep up to date, and
   the last reports of its routers; a spec that is invalid only gets a status;
2. calls the pure `decide`; if pods are to be drained, their load is queried first and
   `decide` is called again;
3. before it adopts an object, reads the deployment from the API server once more;
4. persists in the status what cannot be observed again (`_checkpoint`), then does the actions;
5. writes the status if it differs, and posts an event for each transition.

It is level-triggered: it depends on the current state, not on what changed. A second call in
a row writes nothing, and a missed event costs time but never correctness. All decisions are made
in pure modules; this one does the I/O around them.
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
from flamingo_operator.cluster.apply import NOT_FOUND, apply_actions
from flamingo_operator.cluster.kube import ApiError, KubeClient
from flamingo_operator.cluster.observed import Observed
from flamingo_operator.cluster.store import Resource, Store
from flamingo_operator.decide import Decision, decide
from flamingo_operator.manifests.common import Release
from flamingo_operator.polling.pod_load_client import PodLoadClient
from flamingo_operator.polling.router_poller import RouterPoller
from flamingo_operator.reporting import status
from flamingo_operator.reporting.status import Event, StatusInputs
from flamingo_operator.rollout import node_avoidance
from flamingo_operator.scaling.autoscale import PodCounts
from flamingo_operator.scaling.replicas import (
    DesiredReplicas,
    ScalingState,
    desired_replicas,
    from_status,
)
from flamingo_operator.telemetry import server_lifecycle
from flamingo_operator.telemetry.metrics import Metrics
from flamingo_operator.telemetry.server_lifecycle import ServerState


@dataclass(slots=True)
class Reconciler:
    """Reconciles FlamingoDeployments with the clients and caches of one process."""

    kube: KubeClient
    store: Store
    release: Release
    pod_load_client: PodLoadClient
    router_poller: RouterPoller
    metrics: Metrics
    identity: str
    now: Callable[[], float] = time.time
    _scaling: dict[str, tuple[str, ScalingState]] = field(default_factory=dict)
    """The scaling state of each deployment, and the uid that it belongs to."""
    _pod_states: dict[str, dict[str, ServerState]] = field(default_factory=dict)
    """Each deployment's pods at the last reconciliation, for the metrics of what changes."""

    async def reconcile(self, key: str) -> float | None:
        """Reconcile one deployment; return in how many seconds to do so again, if at all.

        Raises:
            StaleError: something changed meanwhile; reconcile again.
            ApiError: the API server failed or rejected an object; reconcile again later.
        """
        resource = self.store.resource(key)
        if resource is None or resource.is_terminating:
            # The garbage collector deletes what is owned; we must not recreate it.
            self.metrics.remove(key)
            self._scaling.pop(key, None)
            self._pod_states.pop(key, None)
            return None
        try:
            deployment = spec.parse(resource.body)
        except spec.SpecError as error:
            await self._report_invalid_spec(resource, error.errors)
            return None
        return await self._reconcile(key, resource, deployment)

    async def _reconcile(
        self, key: str, resource: Resource, deployment: FlamingoDeployment
    ) -> float | None:
        now_s = self.now()
        avoided = node_avoidance.from_status(resource.body.get("status", {}))
        observed = replace(self.store.observed(key, resource.uid), avoided=avoided)
        desired = self._desired_replicas(key, resource, deployment, observed)
        decision = decide(deployment, observed, self.release, desired, now_s)
        if decision.pods_to_query:
            loads = await self.pod_load_client.read(decision.pods_to_query)
            observed = replace(observed, loads=loads)
            decision = decide(deployment, observed, self.release, desired, now_s)
        if decision.adopts and not await self._may_adopt(resource):
            return None
        self._count_pod_changes(key, deployment, observed, decision)
        rejections: list[str] = []
        if deployment.spec.mode == "Apply":
            resource = await self._checkpoint(key, resource, decision)
            rejections = await apply_actions(self.kube, self.store, decision.actions)
        previous = resource.body.get("status", {})
        inputs = StatusInputs(deployment, observed, decision, rejections, previous, now_s)
        await self._write_status(resource, status.build_status(inputs))
        if rejections:
            raise ApiError(0, "; ".join(rejections))
        return (
            None if decision.requeue_at_s is None else max(0.0, decision.requeue_at_s - self.now())
        )

    async def _may_adopt(self, resource: Resource) -> bool:
        """Whether the deployment still exists and is not being deleted, read from the API server.

        While it is deleted with `--cascade=orphan`, its objects lose their owner, and that
        may be observed first: adopted again, they would be deleted with it.
        """
        metadata = resource.metadata
        found = await self.kube.find(kinds.RESOURCE, metadata["namespace"], metadata["name"])
        if found is not None:
            self.store.put_resource(found)
        if found is None or found["metadata"]["uid"] != resource.uid:
            self.store.drop_resource(resource.body)
            return False
        return "deletionTimestamp" not in found["metadata"]

    def _desired_replicas(
        self, key: str, resource: Resource, deployment: FlamingoDeployment, observed: Observed
    ) -> DesiredReplicas:
        uid, state = self._scaling.get(key, ("", ScalingState()))
        if uid != resource.uid:
            state = from_status(resource.body.get("status", {}))
        now_s = self.now()
        current = self.router_poller.demand_and_capacity(key, resource, observed, now_s)
        desired = desired_replicas(deployment.spec, current, state, _pod_counts(observed), now_s)
        self._scaling[key] = (resource.uid, desired.state)
        bound = _changed_bound(desired, state)
        if bound is not None and deployment.spec.mode == "Apply":
            self.metrics.lifecycle.count_scale_decision(key, bound)
        self.metrics.set_demand(key, desired.needed, desired.audio_s_per_s)
        return desired

    def _count_pod_changes(
        self, key: str, deployment: FlamingoDeployment, observed: Observed, decision: Decision
    ) -> None:
        """Count pods that started or were drained; a plan's actions are not done."""
        actions = decision.actions if deployment.spec.mode == "Apply" else ()
        longest_s = deployment.spec.server.startup_deadline_seconds
        self._pod_states[key], changes = server_lifecycle.lifecycle_events(
            self._pod_states.get(key, {}), observed, actions, self.now(), longest_s
        )
        self.metrics.lifecycle.observe_starts(changes.starts, changes.process_phases)
        self.metrics.lifecycle.count_drains(key, changes.drains)

    async def _checkpoint(self, key: str, resource: Resource, decision: Decision) -> Resource:
        """Persist what a successor could not observe, before acting on it.

        That is the number of replicas that autoscaling chose: a successor would remove pods
        that were just created. And the avoided nodes: the pod that showed the fault is about
        to be deleted.
        """
        old = resource.body.get("status", {})
        checkpoint = status.checkpoint(old, decision)
        if checkpoint == old:
            return resource
        await self._write_status(resource, checkpoint)
        return self.store.resource(key) or resource

    async def _report_invalid_spec(self, resource: Resource, errors: list[str]) -> None:
        generation, old = resource.metadata["generation"], resource.body.get("status", {})
        new = status.status_of_invalid_spec(generation, errors, old, self.now())
        await self._write_status(resource, new)

    async def _write_status(self, resource: Resource, new: dict[str, Any]) -> None:
        """Write the status and post its events, if anything in it is new."""
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
        await asyncio.gather(
            *(self._post_event(resource, event) for event in status.events(old, new))
        )

    async def _post_event(self, resource: Resource, event: Event) -> None:
        """Post an event; an error is only logged, since the reconciliation itself succeeded."""
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
            logs.get().warning("event.not_posted", reason=event.reason, error=error.message)


def _changed_bound(desired: DesiredReplicas, before: ScalingState) -> str | None:
    """Return the bound of a decision whose number or bound differs from the reported ones."""
    if desired.reported is None:
        return None
    num = before.autoscaler.desired if before.autoscaler else None
    bound = before.reported.bound if before.reported else None
    is_same = (desired.num, desired.reported.bound) == (num, bound)
    return None if is_same else desired.reported.bound


def _pod_counts(observed: Observed) -> PodCounts:
    return PodCounts(
        num_ready=sum(pod.is_active and pod.is_ready for pod in observed.pods),
        num_draining=sum(pod.is_draining or pod.is_terminating for pod in observed.pods),
    )
