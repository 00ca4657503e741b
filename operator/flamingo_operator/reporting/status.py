"""What was seen and decided → the status to write, and the events of what changed.

Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flamingo_operator.api import names, timestamps
from flamingo_operator.api.scaling_status import StatusBlock
from flamingo_operator.api.spec import FlamingoDeployment, Spec
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
from flamingo_operator.diagnosis import failures, pod_failure
from flamingo_operator.diagnosis.failures import FailureCount
from flamingo_operator.manifests import common
from flamingo_operator.reporting import conditions, scaling
from flamingo_operator.reporting.conditions import Claim

MAX_PLANNED = 100
MAX_DRAINING = 100


@dataclass(frozen=True, slots=True)
class Event:
    """What `kubectl describe` shows."""

    reason: str
    message: str
    is_warning: bool = False


Json = dict[str, Any]


def status(
    deployment: FlamingoDeployment,
    observed: Observed,
    decision: Decision,
    refusals: Sequence[str],
    seen: tuple[Mapping[str, Any], float],
) -> Json:
    """Return the status; `seen` is the one that stands, and the time."""
    old, now_s = seen
    counted = _failures(deployment.spec, observed, now_s)
    sight = conditions.Sight(deployment, observed, decision, counted, refusals)
    goal, name = decision.goal, deployment.metadata.name
    told = Status(
        observed_generation=deployment.metadata.generation,
        selector=names.selector_string(name, "server"),
        url=_url(deployment),
        scaling=scaling.scaling(decision.desired),
        capacity=scaling.capacity(decision.desired),
        cold_start=scaling.cold_starts(deployment.spec, observed, old.get("coldStart", {})),
        cost=scaling.cost(deployment.spec, observed, decision.desired),
        current_revision=_current(decision),
        update_revision=goal.update.hash if goal else None,
        failures=[_failure(one) for one in counted],
        draining=[_draining(pod) for pod in observed.pods if pod.is_draining][:MAX_DRAINING],
        avoided_nodes=[_avoided(one) for one in _held(deployment, observed, decision)],
        plan=_plan(decision) if deployment.spec.mode == "Plan" else None,
        conditions=_conditions(
            conditions.claims(sight), deployment.metadata.generation, old, now_s
        ),
        **_counts(observed, goal.update.hash if goal else ""),
    )
    return _dumped(told)


def _url(deployment: FlamingoDeployment) -> str:
    name, namespace = deployment.metadata.name, deployment.metadata.namespace
    router = deployment.spec.router
    if router.enabled:
        return names.service_url(names.service(name), namespace, router.service.port)
    return names.service_url(names.servers_service(name), namespace, common.PORT)


def unreadable(
    generation: int, faults: Sequence[str], old: Mapping[str, Any], now_s: float
) -> Json:
    """Return the status of a deployment that cannot be read; the rest of it stays as it was."""
    claims = conditions.unreadable(faults)
    told = Status(
        observed_generation=generation, conditions=_conditions(claims, generation, old, now_s)
    )
    kept = {key: value for key, value in old.items() if key not in ("conditions", "plan")}
    return kept | told.model_dump(mode="json", by_alias=True, exclude_unset=True)


def promised(old: Mapping[str, Any], decision: Decision) -> Json:
    """Return the status with what is written down before it is acted upon: number and nodes."""
    told = dict(old)
    scaling_status = scaling.scaling(decision.desired)
    was = old.get("scaling", {}).get("desiredReplicas")
    if decision.desired.told is not None and was not in (None, decision.desired.num):
        told["scaling"] = _dumped(scaling_status)
    nodes = [_dumped(_avoided(one)) for one in decision.avoided]
    # A status without conditions was lost; it is made anew when all is done.
    if "conditions" in old and nodes != old.get("avoidedNodes", []):
        told["avoidedNodes"] = nodes
    return told


def _dumped(seen: StatusBlock) -> Json:
    return seen.model_dump(mode="json", by_alias=True, exclude_none=True)


def _current(decision: Decision) -> str | None:
    goal = decision.goal
    if goal is None:
        return None
    if goal.update.completed_s is not None and not goal.is_rolled_back:
        return goal.update.hash
    return goal.stable.hash if goal.stable else None


def _counts(observed: Observed, update: str) -> dict[str, int]:
    alive = [pod for pod in observed.pods if pod.is_active]
    return {
        "replicas": len(alive),
        "ready_replicas": sum(pod.is_ready for pod in alive),
        "updated_replicas": sum(pod.revision == update for pod in alive),
        "pending_replicas": sum(not pod.node for pod in alive),
        "loading_replicas": sum(bool(pod.node) and not pod.is_ready for pod in alive),
        "draining_replicas": sum(pod.is_draining or pod.is_terminating for pod in observed.pods),
    }


def _failures(spec: Spec, observed: Observed, now_s: float) -> list[FailureCount]:
    found = (
        (pod.ref.name, pod_failure.diagnose_pod(spec, observed, pod, now_s))
        for pod in observed.pods
    )
    return failures.count_by_cause([(name, cause) for name, cause in found if cause is not None])


def _failure(count: FailureCount) -> FailureStatus:
    return FailureStatus(
        reason=count.reason,
        count=count.count,
        sample_pod=count.sample_pod,
        message=count.message,
        hint=count.hint,
        since=count.since,
    )


def _draining(pod: Pod) -> DrainStatus:
    until_s = pod.drain_until_s
    return DrainStatus(
        pod=pod.ref.name, deadline=None if until_s is None else timestamps.encode(until_s)
    )


def _held(
    deployment: FlamingoDeployment, observed: Observed, decision: Decision
) -> Sequence[AvoidedNode]:
    """Return the nodes that are avoided: in mode Plan nobody acts on what was decided."""
    return observed.avoided if deployment.spec.mode == "Plan" else decision.avoided


def _avoided(one: AvoidedNode) -> AvoidedNodeStatus:
    return AvoidedNodeStatus(
        node=one.node,
        reason=one.reason,
        message=one.message,
        since=timestamps.encode(one.since_s),
        boot_id=one.boot_id or None,
    )


def _plan(decision: Decision) -> PlanStatus:
    made = sum(
        isinstance(one, Apply) and one.is_new and one.manifest["kind"] == "Pod"
        for one in decision.actions
    )
    left = sum(
        isinstance(one, Drain) or (isinstance(one, Delete) and one.ref.kind == "Pod")
        for one in decision.actions
    )
    told = [str(action) for action in decision.actions]
    return PlanStatus(num_gpus=made - left, actions=told[:MAX_PLANNED])


def _conditions(
    claims: Iterable[Claim], generation: int, old: Mapping[str, Any], now_s: float
) -> list[Condition]:
    before = {one["type"]: one for one in old.get("conditions", ())}
    return [_condition(claim, generation, before.get(claim.type), now_s) for claim in claims]


def _condition(
    claim: Claim, generation: int, before: Mapping[str, Any] | None, now_s: float
) -> Condition:
    is_same = before is not None and before["status"] == claim.status
    return Condition(
        type=claim.type,
        status=claim.status,
        reason=claim.reason,
        message=claim.message,
        last_transition_time=(
            before["lastTransitionTime"] if before and is_same else timestamps.encode(now_s)
        ),
        observed_generation=generation,
    )


def events(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Event]:
    """Yield what is told of the way from one status to the next: transitions only."""
    yield from _scaled(old, new)
    before = {one["type"]: one for one in old.get("conditions", ())}
    for one in new["conditions"]:
        known = before.get(one["type"])
        claim = Claim(one["type"], one["status"], one["reason"], one["message"])
        if _is_news(claim, known):
            yield Event(claim.reason, claim.message or claim.reason, not claim.is_good)
    yield from _drains(old, new)
    yield from _avoidances(old, new)


def _is_news(claim: Claim, known: Mapping[str, Any] | None) -> bool:
    """Whether a claim is told: what turned good or bad, why it is bad, and where a rollout is."""
    if known is None:
        return not claim.is_good
    if known["status"] != claim.status:
        return True
    is_milestone = claim.reason in ("RolloutInProgress", "Complete")
    return known["reason"] != claim.reason and (is_milestone or not claim.is_good)


def _scaled(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Event]:
    """Yield that the number changed; in mode Plan only what is wanted does."""
    if "plan" in new or not _is_readable(new):
        return
    now = new.get("scaling", {}).get("desiredReplicas")
    was = old.get("replicas") if "plan" in old else old.get("scaling", {}).get("desiredReplicas")
    if was is not None and was != now:
        why = new.get("scaling", {}).get("message")
        yield Event("Scaled", f"from {was} to {now} servers" + (f": {why}" if why else ""))


def _is_readable(status: Mapping[str, Any]) -> bool:
    return all(one["reason"] != "InvalidSpec" for one in status["conditions"])


def _drains(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Event]:
    known = {one["pod"] for one in old.get("draining", ())}
    for one in new.get("draining", ()):
        if one["pod"] not in known:
            yield Event("DrainStarted", f"{one['pod']} finishes what it holds")


def _avoidances(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Event]:
    before = {one["node"]: one for one in old.get("avoidedNodes", ())}
    after = {one["node"]: one for one in new.get("avoidedNodes", ())}
    for node in sorted(after.keys() - before.keys()):
        told = f"node {node} gets no more servers: {after[node]['message']}"
        yield Event("NodeAvoided", told, is_warning=True)
    for node in sorted(before.keys() - after.keys()):
        yield Event("NodeTrusted", f"node {node} may get servers again")
