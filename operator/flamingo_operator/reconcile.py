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

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flamingo_operator.api import reading, spec
from flamingo_operator.api.reading import LastSpec, Reading
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster import availability, kinds
from flamingo_operator.cluster.aliases import parse_neighbor
from flamingo_operator.cluster.apply import apply_actions
from flamingo_operator.cluster.kube import ApiError, KubeClient
from flamingo_operator.cluster.observed import Observed
from flamingo_operator.cluster.pod_rejection import CreationAttempt, next_rejection
from flamingo_operator.cluster.rejections import Rejection
from flamingo_operator.cluster.store import Resource, Store
from flamingo_operator.cluster.warning_events import WarningEvents
from flamingo_operator.decide import Decision, decide
from flamingo_operator.diagnosis import fleet_failures
from flamingo_operator.forecast import with_status
from flamingo_operator.manifests.common import Release
from flamingo_operator.manifests.spec_revision import last_spec
from flamingo_operator.plans import PlanInputs, Plans
from flamingo_operator.polling.pod_load_client import PodLoadClient
from flamingo_operator.polling.router_poller import RouterPoller
from flamingo_operator.reporting import scaling, status
from flamingo_operator.reporting.status import StatusInputs
from flamingo_operator.scaling.autoscale import PodCounts
from flamingo_operator.scaling.replicas import (
    DesiredReplicas,
    ScalingState,
    desired_replicas,
    from_status,
)
from flamingo_operator.status_writer import StatusWriter
from flamingo_operator.telemetry import server_lifecycle
from flamingo_operator.telemetry.metrics import Metrics
from flamingo_operator.telemetry.server_lifecycle import ServerState

EVENTS_INTERVAL_S = 5.0
"""How often events are looked for as long as an object does not advance and says not why."""


@dataclass(slots=True)
class Reconciler:
    """Reconciles FlamingoDeployments with the clients and caches of one process."""

    kube: KubeClient
    store: Store
    release: Release
    pod_load_client: PodLoadClient
    router_poller: RouterPoller
    warning_events: WarningEvents
    metrics: Metrics
    status_writer: StatusWriter
    now: Callable[[], float] = time.time
    _scaling: dict[str, tuple[str, ScalingState]] = field(default_factory=dict)
    """The scaling state of each deployment, and the uid that it belongs to."""
    _pod_states: dict[str, dict[str, ServerState]] = field(default_factory=dict)
    """Each deployment's pods at the last reconciliation, for the metrics of what changes."""
    _plans: Plans = field(default_factory=Plans)
    """What each paused deployment waits for."""
    _last_specs: dict[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    """The last spec of each deployment that could be read, and the uid that it belongs to."""

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
            self._plans.forget(key)
            self._last_specs.pop(key, None)
            self.status_writer.forget(key)
            return None
        observed = with_status(
            self.store.observed(key, resource.uid), self.status_writer.current(resource)
        )
        if unavailable := availability.unobserved_kinds(observed):
            await self._report_unobserved(resource, unavailable)
            return None
        try:
            found = self._read(resource, observed)
        except spec.SpecError as error:
            await self._report_invalid_spec(resource, error.errors, observed)
            return None
        if found.holds_objects:
            observed = availability.without_objects(observed)
        return await self._reconcile(resource, found, observed)

    def _read(self, resource: Resource, observed: Observed) -> Reading:
        """Return the deployment, as far as it can be read.

        Raises:
            SpecError: it cannot be read, and nothing is known of an earlier spec.
        """
        uid, known = self._last_specs.get(resource.key, ("", None))
        if known is not None and uid == resource.uid:
            last: LastSpec | None = LastSpec(known, is_current=True)
        else:
            last = last_spec(observed, self.status_writer.current(resource))
        found = reading.read(resource.body, last)
        if not found.unreadable:
            self._last_specs[resource.key] = (resource.uid, resource.body["spec"])
        return found

    async def _reconcile(
        self, resource: Resource, found: Reading, observed: Observed
    ) -> float | None:
        key, now_s, deployment = resource.key, self.now(), found.deployment
        unexplained = list(fleet_failures.unexplained(observed, now_s))
        warnings = await self.warning_events.read(unexplained, now_s)
        observed = replace(observed, warnings=warnings)
        desired = self._desired_replicas(key, resource, deployment, observed)
        decision = decide(deployment, observed, self.release, desired, now_s)
        if decision.pods_to_query:
            loads = await self.pod_load_client.read(decision.pods_to_query)
            observed = replace(observed, loads=loads)
            decision = decide(deployment, observed, self.release, desired, now_s)
        decision = replace(decision, unreadable=found.unreadable)
        if decision.adopts and not await self._may_adopt(resource):
            return None
        if decision.alias.concerns_others and not deployment.spec.paused:
            observed = await self._with_current_neighbors(resource, observed)
            decision = decide(deployment, observed, self.release, desired, now_s)
        self._count_pod_changes(key, deployment, observed, decision)
        rejections: list[Rejection] = []
        planned = None
        if deployment.spec.paused:
            plan_inputs = PlanInputs(deployment, observed, self.release, decision, now_s)
            planned = await self._plans.forecast(key, plan_inputs)
        else:
            resource = await self._checkpoint(key, resource, decision)
            rejections = await apply_actions(self.kube, self.store, decision.actions)
            self._remember_rejection(key, resource, decision, rejections)
        previous = self.status_writer.current(resource)
        inputs = StatusInputs(deployment, observed, decision, rejections, previous, now_s, planned)
        await self.status_writer.write(resource, status.build_status(inputs))
        others = [str(one) for one in rejections if one.kind != kinds.POD.name]
        if others:
            raise ApiError(0, "; ".join(others))
        events_at_s = (
            now_s + EVENTS_INTERVAL_S
            if unexplained
            else fleet_failures.next_unexplained_s(observed, now_s)
        )
        return self._requeue_s(key, decision, events_at_s)

    def _requeue_s(self, key: str, decision: Decision, events_at_s: float | None) -> float | None:
        """Return in how many seconds to reconcile again, if at all."""
        rejection = self.store.pod_rejection(key)
        retry_at_s = rejection.retry_at_s if rejection else None
        requeues_at_s = [decision.requeue_at_s, retry_at_s, events_at_s]
        at_s = min((one for one in requeues_at_s if one is not None), default=None)
        return None if at_s is None else max(0.0, at_s - self.now())

    def _remember_rejection(
        self, key: str, resource: Resource, decision: Decision, rejections: list[Rejection]
    ) -> None:
        """Keep why server pods could not be created, until it is tried again."""
        target = decision.target
        if target is None:
            return
        attempt = CreationAttempt(
            revision=target.revision.hash,
            rejections=rejections,
            num_held=decision.step.num_held,
            num_pods=len(self.store.observed(key, resource.uid).pods),
            now_s=self.now(),
        )
        self.store.put_pod_rejection(key, next_rejection(self.store.pod_rejection(key), attempt))

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

    async def _with_current_neighbors(self, resource: Resource, observed: Observed) -> Observed:
        """Return what was observed, with the namespace's deployments read from the API server.

        An alias is taken over or deleted only if no other deployment claims it, and right after
        the start of the operator some may not have been observed yet.
        """
        namespace = resource.metadata["namespace"]
        listed = await self.kube.get(kinds.RESOURCE.path(namespace))
        neighbors = (parse_neighbor(body) for body in listed["items"])
        others = tuple(one for one in neighbors if one.uid != resource.uid)
        return replace(observed, neighbors=others)

    def _desired_replicas(
        self, key: str, resource: Resource, deployment: FlamingoDeployment, observed: Observed
    ) -> DesiredReplicas:
        uid, state = self._scaling.get(key, ("", ScalingState()))
        if uid != resource.uid:
            state = from_status(self.status_writer.current(resource))
        now_s = self.now()
        current = self.router_poller.demand_and_capacity(key, resource, observed, now_s)
        desired = desired_replicas(deployment.spec, current, state, _pod_counts(observed), now_s)
        self._scaling[key] = (resource.uid, desired.state)
        bound = _changed_bound(desired, state)
        if bound is not None and not deployment.spec.paused:
            self.metrics.lifecycle.count_scale_decision(key, bound)
        self.metrics.set_demand(key, desired.needed, desired.audio_s_per_s)
        return desired

    def _count_pod_changes(
        self, key: str, deployment: FlamingoDeployment, observed: Observed, decision: Decision
    ) -> None:
        """Count pods that started or were drained; while paused no action is done."""
        actions = () if deployment.spec.paused else decision.actions
        longest_s = deployment.spec.server.startup_deadline_seconds
        self._pod_states[key], changes = server_lifecycle.lifecycle_events(
            self._pod_states.get(key, {}), observed, actions, self.now(), longest_s
        )
        self.metrics.set_gpus(key, scaling.num_gpus(deployment.spec, observed))
        self.metrics.lifecycle.observe_starts(changes.starts, changes.process_phases)
        self.metrics.lifecycle.count_drains(key, changes.drains)

    async def _checkpoint(self, key: str, resource: Resource, decision: Decision) -> Resource:
        """Persist what a successor could not observe, before acting on it.

        That is the number of replicas that autoscaling chose: a successor would remove pods
        that were just created. And the avoided nodes: the pod that showed the fault is about
        to be deleted.
        """
        old = self.status_writer.current(resource)
        checkpoint = status.checkpoint(old, decision)
        if checkpoint == old:
            return resource
        await self.status_writer.write(resource, checkpoint)
        return self.store.resource(key) or resource

    async def _report_invalid_spec(
        self, resource: Resource, errors: list[str], observed: Observed
    ) -> None:
        generation, old = resource.metadata["generation"], self.status_writer.current(resource)
        new = status.status_of_invalid_spec(generation, errors, old, observed, self.now())
        await self.status_writer.write(resource, new)

    async def _report_unobserved(self, resource: Resource, unavailable: dict[str, str]) -> None:
        generation, old = resource.metadata["generation"], self.status_writer.current(resource)
        new = status.status_of_unobserved(generation, unavailable, old, self.now())
        await self.status_writer.write(resource, new)


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
