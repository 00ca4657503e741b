"""Whether a rollout finds no room for an additional server pod, and what makes room.

How it works. A surge pod cannot come when its creation is refused, when a scheduling gate or
the scheduler holds it, or when a kubelet rejects it. Strategy Auto then drains an old pod
first, but only one whose removal helps: capacity that is given up for nothing is lost until
the rollout has failed. So it helps to remove

- for an exceeded quota: an old pod, if the quota's numbers show that its share suffices; a
  LimitRange, a policy, a webhook or an invalid pod refuses the replacement as well;
- for a pod that no node takes: an old pod on a node that the new pod may run on, if the
  scheduler says that some node only lacks free resources, and the old pod frees one of them;
- for a gate, as Kueue sets it: any old pod, because its share of the queue becomes free;
- for a pod that a kubelet rejected: an old pod on a node that the new one may run on.

Since when there is no room is kept in the revision (`Blockage`), so the operator may be
replaced meanwhile. Once surgePendingSeconds have passed, they are not waited for again in the
same rollout.

Pure.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flamingo_operator.cluster.nodes import Node
from flamingo_operator.cluster.observed import Observed, Pod, Revision
from flamingo_operator.diagnosis import creation_errors
from flamingo_operator.rollout import placement

ADMITTED_AFTER_S = 5.0
"""After this time on its node, a pod was not rejected by the kubelet."""
MAX_MESSAGE_CHARS = 256
INSUFFICIENT = re.compile(r"Insufficient ([^\s,.]+(?:\.[^\s,.]+)*)")
UNHELPFUL = "Preemption is not helpful for scheduling"
"""What the scheduler says of nodes that the removal of pods would not make suitable."""
RESOLVABLE = (
    "Insufficient",
    "Too many pods",
    "free ports",
    "anti-affinity",
    "topology spread",
    "max volume count",
    "ReadWriteOncePod",
    "cannot allocate all claims",
)
"""Reasons of the scheduler that end when another pod is removed."""


@dataclass(frozen=True, slots=True)
class Blockage:
    """No additional server pod can come."""

    since_s: float
    message: str


@dataclass(frozen=True, slots=True)
class SurgeInputs:
    """All that a judgement depends on."""

    observed: Observed
    revision: str
    new: Sequence[Pod]
    old: Sequence[Pod]
    """Those to be replaced, the first to remove first."""
    max_unavailable: int
    wait_s: float
    now_s: float

    @property
    def stored(self) -> Revision | None:
        """The revision that pods are created from."""
        found = (one for one in self.observed.revisions if one.hash == self.revision)
        return next(found, None)


@dataclass(frozen=True, slots=True)
class SurgeState:
    """Whether there is room for a surge pod."""

    blockage: Blockage | None = None
    """To be kept in the revision."""
    can_make_room: bool = False
    """Whether the removal of some old pod makes room."""
    helpful: tuple[Pod, ...] = ()
    """Old pods whose removal makes room, once the wait is over."""
    requeue_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Obstacle:
    message: str
    helpful: tuple[Pod, ...]


def surge_state(inputs: SurgeInputs) -> SurgeState:
    """Return whether a surge pod can come, and which old pods to remove first if not."""
    obstacle, before = _obstacle(inputs), _known(inputs.stored)
    if obstacle is None:
        is_still = before is not None and not _is_over(inputs, before)
        return SurgeState(before if is_still else None, can_make_room=is_still)
    blockage = before or Blockage(inputs.now_s, "")
    if _cause(blockage.message) != _cause(obstacle.message):
        blockage = Blockage(blockage.since_s, obstacle.message[:MAX_MESSAGE_CHARS])
    full_at_s = blockage.since_s + inputs.wait_s
    if inputs.now_s < full_at_s:
        return SurgeState(blockage, bool(obstacle.helpful), requeue_at_s=full_at_s)
    return SurgeState(blockage, bool(obstacle.helpful), obstacle.helpful)


def _known(revision: Revision | None) -> Blockage | None:
    if revision is None or revision.blocked_s is None:
        return None
    return Blockage(revision.blocked_s, revision.blocked_by)


def _cause(message: str) -> str:
    return message.partition(":")[0]


def _is_over(inputs: SurgeInputs, before: Blockage) -> bool:
    """Whether a new pod has found room while it was still being waited for."""
    if inputs.now_s - before.since_s >= inputs.wait_s:
        return False  # what came since then may have come because an old pod was removed
    admitted_s = inputs.now_s - ADMITTED_AFTER_S
    return any(
        pod.node and pod.scheduled_s is not None and pod.scheduled_s <= admitted_s
        for pod in inputs.new
    )


def _obstacle(inputs: SurgeInputs) -> _Obstacle | None:
    """Return what keeps a surge pod from coming now; None if nothing is known."""
    rejection = inputs.observed.pod_rejection
    if rejection is not None and rejection.revision == inputs.revision:
        cause, message = (
            creation_errors.classify(rejection.message),
            creation_errors.shorten(rejection.message),
        )
        return _Obstacle(f"{cause}: {message}", _helpful_for_quota(inputs, rejection.message))
    for pod in inputs.new:
        if pod.is_unschedulable:
            return _unschedulable(inputs, pod)
        if pod.is_gated:
            return _Obstacle(f"SchedulingGated: {pod.scheduling_message}", tuple(inputs.old))
    for pod in inputs.observed.pods:
        if pod.admission_error and pod.revision == inputs.revision:
            return _Obstacle(f"NotAdmitted: {pod.admission_error}", _on_usable_nodes(inputs))
    return None


def _helpful_for_quota(inputs: SurgeInputs, message: str) -> tuple[Pod, ...]:
    excess = creation_errors.quota_excess(message)
    if excess is None:
        return ()
    # Pods that are draining or terminating count until they are gone.
    leaving = [one for one in inputs.observed.pods if one.is_draining or one.is_terminating]
    removable = [*leaving, *inputs.old[: inputs.max_unavailable]]
    return tuple(inputs.old) if excess.is_met_by(one.usage for one in removable) else ()


def _unschedulable(inputs: SurgeInputs, pod: Pod) -> _Obstacle:
    nodes, _, preemption = pod.scheduling_message.partition(" preemption: ")
    message = f"Unschedulable: {nodes.rstrip('. ')}"
    if not _is_resolvable(nodes, preemption):
        return _Obstacle(message, ())
    lacking = [f"requests.{name}" for name in INSUFFICIENT.findall(nodes.rstrip("."))]
    helpful = _on_usable_nodes(inputs)
    if lacking:
        helpful = tuple(one for one in helpful if _frees(one, lacking))
    return _Obstacle(message, helpful)


def _is_resolvable(nodes: str, preemption: str) -> bool:
    """Whether the removal of pods would make some node suitable, as far as the scheduler says."""
    _, _, verdicts = preemption.partition("nodes are available: ")
    if verdicts:
        return any(UNHELPFUL not in one for one in verdicts.rstrip(".").split(", "))
    return not nodes or any(reason in nodes for reason in RESOLVABLE)


def _frees(pod: Pod, lacking: Sequence[str]) -> bool:
    is_known = any(name.startswith("requests.") for name in pod.usage)
    return not is_known or any(pod.usage.get(name) for name in lacking)


def _on_usable_nodes(inputs: SurgeInputs) -> tuple[Pod, ...]:
    """Return the old pods on nodes that a new pod may run on."""
    template = inputs.stored.template if inputs.stored is not None else ""
    nodes = inputs.observed.nodes
    return tuple(one for one in inputs.old if _is_usable(nodes.get(one.node), template))


def _is_usable(node: Node | None, template: str) -> bool:
    if node is None:
        return True  # not every operator may read nodes
    if node.is_cordoned or not node.is_ready:
        return False
    return not node.labels or placement.may_run_on(_pod_spec(template), node.name, node.labels)


@lru_cache(maxsize=64)
def _pod_spec(template: str) -> Any:
    return json.loads(template).get("spec") or {} if template else {}
