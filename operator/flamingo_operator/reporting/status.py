"""The status to write, and the events for what changed in it.

Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flamingo_operator.api import names, timestamps
from flamingo_operator.api.scaling_status import StatusBlock
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.api.status import (
    AvoidedNodeStatus,
    Condition,
    DrainStatus,
    FailureStatus,
    PlanStatus,
    Status,
)
from flamingo_operator.cluster.actions import Apply, Delete, Drain
from flamingo_operator.cluster.observed import AvoidedNode, Observed, Pod
from flamingo_operator.decide import Decision
from flamingo_operator.diagnosis import failures
from flamingo_operator.diagnosis.failures import FailureCount
from flamingo_operator.manifests import common
from flamingo_operator.reporting import conditions, scaling
from flamingo_operator.reporting.conditions import ComputedCondition, ConditionInputs

MAX_PLANNED = 100
MAX_DRAINING = 100


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes event about the deployment."""

    reason: str
    message: str
    is_warning: bool = False


Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StatusInputs:
    """All that a status depends on."""

    deployment: FlamingoDeployment
    observed: Observed
    decision: Decision
    rejections: Sequence[str]
    """The API server's messages about the objects that it rejected."""
    previous: Mapping[str, Any]
    """The current status, which is to be replaced."""
    now_s: float


def build_status(inputs: StatusInputs) -> Json:
    """Return the status of a deployment whose spec is valid."""
    deployment, observed, decision = inputs.deployment, inputs.observed, inputs.decision
    failing = _failure_counts(inputs)
    target, previous = decision.target, inputs.previous
    about = ConditionInputs(deployment, observed, decision, failing, inputs.rejections)
    status = Status(
        observed_generation=deployment.metadata.generation,
        selector=names.selector_string(deployment.metadata.name, "server"),
        url=_url(deployment),
        scaling=scaling.scaling_status(decision.desired),
        capacity=scaling.capacity_status(decision.desired),
        cold_start=scaling.cold_start_status(
            deployment.spec, observed, previous.get("coldStart", {})
        ),
        cost=scaling.cost_status(deployment.spec, observed, decision.desired),
        current_revision=_current_revision(decision),
        update_revision=target.update.hash if target else None,
        failures=[_failure_status(one) for one in failing],
        draining=[_drain_status(pod) for pod in observed.pods if pod.is_draining][:MAX_DRAINING],
        avoided_nodes=[_avoided_node_status(one) for one in _avoided_nodes(inputs)],
        plan=_plan(decision) if deployment.spec.mode == "Plan" else None,
        conditions=_with_times(
            conditions.compute_conditions(about),
            deployment.metadata.generation,
            previous,
            inputs.now_s,
        ),
        **_replica_counts(observed, target.update.hash if target else ""),
    )
    return _dump(status)


def _url(deployment: FlamingoDeployment) -> str:
    name, namespace = deployment.metadata.name, deployment.metadata.namespace
    router = deployment.spec.router
    if router.enabled:
        return names.service_url(names.service(name), namespace, router.service.port)
    return names.service_url(names.servers_service(name), namespace, common.PORT)


def status_of_invalid_spec(
    generation: int, errors: Sequence[str], previous: Mapping[str, Any], now_s: float
) -> Json:
    """Return the status of a deployment whose spec is invalid; most of it stays as it was."""
    computed = conditions.conditions_of_invalid_spec(errors)
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
    spec, observed = inputs.deployment.spec, inputs.observed
    found = (
        (pod.ref.name, failures.diagnose_observed(spec, observed, pod, inputs.now_s))
        for pod in observed.pods
    )
    return failures.count_by_cause([(name, cause) for name, cause in found if cause is not None])


def _failure_status(count: FailureCount) -> FailureStatus:
    return FailureStatus(
        reason=count.reason,
        count=count.count,
        sample_pod=count.sample_pod,
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
    """Return the nodes that are avoided; in mode Plan, without those that would be added."""
    if inputs.deployment.spec.mode == "Plan":
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


def _plan(decision: Decision) -> PlanStatus:
    num_created = sum(
        isinstance(one, Apply) and one.is_new and one.manifest["kind"] == "Pod"
        for one in decision.actions
    )
    num_removed = sum(
        isinstance(one, Drain) or (isinstance(one, Delete) and one.ref.kind == "Pod")
        for one in decision.actions
    )
    actions = [str(action) for action in decision.actions]
    return PlanStatus(num_gpus=num_created - num_removed, actions=actions[:MAX_PLANNED])


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


def events(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Event]:
    """Yield the events for the change from one status to the next: transitions only."""
    yield from _scaling_events(old, new)
    before = {one["type"]: one for one in old.get("conditions", ())}
    for one in new["conditions"]:
        known = before.get(one["type"])
        condition = ComputedCondition(one["type"], one["status"], one["reason"], one["message"])
        if _is_transition(condition, known):
            message = condition.message or condition.reason
            yield Event(condition.reason, message, not condition.is_good)
    yield from _drain_events(old, new)
    yield from _node_events(old, new)


def _is_transition(condition: ComputedCondition, known: Mapping[str, Any] | None) -> bool:
    """Whether a condition gets an event: it changed status, or its reason matters."""
    if known is None:
        return not condition.is_good
    if known["status"] != condition.status:
        return True
    is_milestone = condition.reason in ("RolloutInProgress", "Complete")
    return known["reason"] != condition.reason and (is_milestone or not condition.is_good)


def _scaling_events(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Event]:
    """Yield an event if the number of replicas changed; in mode Plan it does not."""
    if "plan" in new or not _is_valid(new):
        return
    now = new.get("scaling", {}).get("desiredReplicas")
    before = old.get("replicas") if "plan" in old else old.get("scaling", {}).get("desiredReplicas")
    if before is not None and before != now:
        why = new.get("scaling", {}).get("message")
        message = f"scaled from {before} to {now} replicas" + (f": {why}" if why else "")
        yield Event("Scaled", message)


def _is_valid(status: Mapping[str, Any]) -> bool:
    return all(one["reason"] != "InvalidSpec" for one in status["conditions"])


def _drain_events(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Event]:
    known = {one["pod"] for one in old.get("draining", ())}
    for one in new.get("draining", ()):
        if one["pod"] not in known:
            yield Event("DrainStarted", f"draining pod {one['pod']}")


def _node_events(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Event]:
    before = {one["node"]: one for one in old.get("avoidedNodes", ())}
    after = {one["node"]: one for one in new.get("avoidedNodes", ())}
    for node in sorted(after.keys() - before.keys()):
        message = f"no more server pods are placed on node {node}: {after[node]['message']}"
        yield Event("NodeAvoided", message, is_warning=True)
    for node in sorted(before.keys() - after.keys()):
        yield Event("NodeReadmitted", f"server pods may be placed on node {node} again")
