"""The status to write.

Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from flamingo_operator.api import names, timestamps
from flamingo_operator.api.scaling_status import StatusBlock
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.api.status import (
    AvoidedNodeStatus,
    Condition,
    DrainStatus,
    FailureStatus,
    PlanGpus,
    PlanStatus,
    Status,
)
from flamingo_operator.cluster.nodes import AvoidedNode
from flamingo_operator.cluster.observed import Observed, Pod
from flamingo_operator.cluster.rejections import Rejection, rejection_reason
from flamingo_operator.decide import Decision
from flamingo_operator.diagnosis import fleet_failures
from flamingo_operator.diagnosis.failures import FailureCount
from flamingo_operator.forecast import Forecast, summary
from flamingo_operator.manifests import common
from flamingo_operator.reporting import conditions, exposure, scaling
from flamingo_operator.reporting.condition_inputs import ConditionInputs
from flamingo_operator.reporting.conditions import ComputedCondition

MAX_PLANNED = 100
MAX_DRAINING = 100
MAX_ADDRESSES = 32


Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StatusInputs:
    """All that a status depends on."""

    deployment: FlamingoDeployment
    observed: Observed
    decision: Decision
    rejections: Sequence[Rejection]
    """The objects that the API server rejected."""
    previous: Mapping[str, Any]
    """The current status, which is to be replaced."""
    now_s: float
    forecast: Forecast | None = None
    """What would be done, while the deployment is paused."""


def build_status(inputs: StatusInputs) -> Json:
    """Return the status of a deployment whose spec is valid."""
    deployment, observed, decision = inputs.deployment, inputs.observed, inputs.decision
    failing = _failure_counts(inputs)
    target, previous = decision.target, inputs.previous
    is_new_spec = previous.get("observedGeneration") != deployment.metadata.generation
    is_held = inputs.forecast is not None and not inputs.forecast.is_empty
    about = ConditionInputs(
        deployment,
        observed,
        decision,
        failing,
        _rejections(inputs),
        is_new_spec=is_new_spec,
        is_held=is_held,
    )
    status = Status(
        observed_generation=deployment.metadata.generation,
        selector=names.selector_string(deployment.metadata.name, "server"),
        url=_url(about),
        addresses=list(exposure.addresses(about))[:MAX_ADDRESSES],
        scaling=scaling.scaling_status(decision.desired),
        capacity=scaling.capacity_status(decision.desired),
        cold_start=scaling.cold_start_status(
            deployment.spec, observed, previous.get("coldStart", {})
        ),
        cost=scaling.cost_status(deployment.spec, observed, decision.desired),
        outdated_replicas=decision.outdated.num_servers,
        outdated_router_replicas=decision.outdated.num_routers,
        batches_ready_replicas=_num_ready_batches(about),
        current_revision=_current_revision(decision),
        update_revision=target.update.hash if target else None,
        failures=[_failure_status(one) for one in failing],
        draining=[_drain_status(pod) for pod in observed.pods if pod.is_draining][:MAX_DRAINING],
        avoided_nodes=[_avoided_node_status(one) for one in _avoided_nodes(inputs)],
        plan=_plan(inputs.forecast) if inputs.forecast is not None else None,
        conditions=_with_times(
            conditions.compute_conditions(about),
            deployment.metadata.generation,
            previous,
            inputs.now_s,
        ),
        **_replica_counts(observed, target.update.hash if target else ""),
    )
    return _dump(status)


def _url(about: ConditionInputs) -> str | None:
    if not exposure.owns_url(about):
        return None
    name, namespace = about.deployment.metadata.name, about.deployment.metadata.namespace
    router = about.deployment.spec.router
    if router.enabled:
        return names.service_url(exposure.url_service(about), namespace, router.service.port)
    return names.service_url(names.servers_service(name), namespace, common.PORT)


def _num_ready_batches(about: ConditionInputs) -> int | None:
    if about.deployment.spec.batches is None:
        return None
    return about.batches.num_ready if about.batches else 0


def status_of_invalid_spec(
    generation: int,
    errors: Sequence[str],
    previous: Mapping[str, Any],
    observed: Observed,
    now_s: float,
) -> Json:
    """Return the status of a deployment whose spec is invalid: what is observed, and why."""
    counts = _replica_counts(observed, previous.get("updateRevision", ""))
    computed = conditions.conditions_of_invalid_spec(errors)
    new = _with_conditions_only(computed, generation, previous, now_s)
    return new | {to_camel(name): num for name, num in counts.items()}


def status_of_unobserved(
    generation: int, unavailable: Mapping[str, str], previous: Mapping[str, Any], now_s: float
) -> Json:
    """Return the status of a deployment whose server pods or revisions cannot be observed."""
    return _with_conditions_only(
        conditions.conditions_of_unobserved(unavailable), generation, previous, now_s
    )


def _with_conditions_only(
    computed: Iterable[ComputedCondition],
    generation: int,
    previous: Mapping[str, Any],
    now_s: float,
) -> Json:
    new = Status(
        observed_generation=generation,
        conditions=_with_times(computed, generation, previous, now_s),
    )
    kept = {key: value for key, value in previous.items() if key not in ("conditions", "plan")}
    return kept | new.model_dump(mode="json", by_alias=True, exclude_unset=True)


def checkpoint(previous: Mapping[str, Any], decision: Decision) -> Json:
    """Return the status with what must be persisted before it is acted on.

    That is the desired number of replicas and the avoided nodes.
    """
    new = dict(previous)
    scaling_status = scaling.scaling_status(decision.desired)
    before = previous.get("scaling", {}).get("desiredReplicas")
    if decision.desired.reported is not None and before not in (None, decision.desired.num):
        new["scaling"] = _dump(scaling_status)
    nodes = [_dump(_avoided_node_status(one)) for one in decision.avoided_nodes]
    # A status without conditions was lost; it is rebuilt when all is done.
    if "conditions" in previous and nodes != previous.get("avoidedNodes", []):
        new["avoidedNodes"] = nodes
    return new


def _dump(block: StatusBlock) -> Json:
    return block.model_dump(mode="json", by_alias=True, exclude_none=True)


def _current_revision(decision: Decision) -> str | None:
    target = decision.target
    if target is None:
        return None
    if target.update.completed_s is not None and not target.is_rolled_back:
        return target.update.hash
    return target.stable.hash if target.stable else None


def _replica_counts(observed: Observed, update: str) -> dict[str, int]:
    active = [pod for pod in observed.pods if pod.is_active]
    return {
        "replicas": len(active),
        "ready_replicas": sum(pod.is_ready for pod in active),
        "updated_replicas": sum(pod.revision == update for pod in active),
        "pending_replicas": sum(not pod.node for pod in active),
        "loading_replicas": sum(bool(pod.node) and not pod.is_ready for pod in active),
        "draining_replicas": sum(pod.is_draining or pod.is_terminating for pod in observed.pods),
    }


def _failure_counts(inputs: StatusInputs) -> list[FailureCount]:
    return fleet_failures.count_failures(
        inputs.deployment.spec,
        inputs.observed,
        inputs.rejections,
        inputs.decision.step.num_held,
        inputs.now_s,
    )


def _rejections(inputs: StatusInputs) -> list[Rejection]:
    """Return what was rejected now, and the server pods that were rejected before."""
    rejected, found = inputs.observed.pod_rejection, list(inputs.rejections)
    if rejected is not None and inputs.decision.step.num_held:
        reason = rejection_reason(rejected.message)
        found.append(Rejection(reason, f"create Pod {rejected.pod}: {rejected.message}"))
    return found


def _failure_status(count: FailureCount) -> FailureStatus:
    return FailureStatus(
        component=count.component,
        reason=count.reason,
        count=count.count,
        sample_pod=count.sample_pod or None,
        message=count.message,
        hint=count.hint,
        since=count.since,
    )


def _drain_status(pod: Pod) -> DrainStatus:
    until_s = pod.drain_until_s
    return DrainStatus(
        pod=pod.ref.name, deadline=None if until_s is None else timestamps.encode(until_s)
    )


def _avoided_nodes(inputs: StatusInputs) -> Sequence[AvoidedNode]:
    """Return the nodes that are avoided; while paused, without those that would be added."""
    if inputs.deployment.spec.paused:
        return inputs.observed.avoided
    return inputs.decision.avoided_nodes


def _avoided_node_status(one: AvoidedNode) -> AvoidedNodeStatus:
    return AvoidedNodeStatus(
        node=one.node,
        reason=one.reason,
        message=one.message,
        since=timestamps.encode(one.since_s),
        boot_id=one.boot_id or None,
    )


def _plan(found: Forecast) -> PlanStatus:
    gpus = found.gpus
    return PlanStatus(
        message=summary(found),
        replaced_pods=found.num_replaced,
        created_pods=found.num_created,
        removed_pods=found.num_removed,
        gpus=PlanGpus(current=gpus.current, peak=gpus.peak, final=gpus.final),
        actions=list(found.actions[:MAX_PLANNED]),
    )


def _with_times(
    computed: Iterable[ComputedCondition],
    generation: int,
    previous: Mapping[str, Any],
    now_s: float,
) -> list[Condition]:
    before = {one["type"]: one for one in previous.get("conditions", ())}
    return [_with_time(one, generation, before.get(one.type), now_s) for one in computed]


def _with_time(
    computed: ComputedCondition, generation: int, before: Mapping[str, Any] | None, now_s: float
) -> Condition:
    is_same = before is not None and before["status"] == computed.status
    return Condition(
        type=computed.type,
        status=computed.status,
        reason=computed.reason,
        message=computed.message,
        last_transition_time=(
            before["lastTransitionTime"] if before and is_same else timestamps.encode(now_s)
        ),
        observed_generation=generation,
    )
