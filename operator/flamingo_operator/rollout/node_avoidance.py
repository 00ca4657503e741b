"""Which nodes get no more server pods, because a GPU there failed repeatedly.

How it works. A node is avoided when the cause of failure of a pod there is GPUFault and
its container was restarted twice, or its kubelet is backing off (which means two failures
within ten minutes). A single fault is not enough: the kubelet restarts the container in
place, as for any pod.

A software failure can look like a hardware failure, and must not drive a fleet from node to
node. So few nodes are avoided: three, or one as long as no pod of that revision has ever been
ready, and never more than half of the nodes with such GPUs, where nodes can be listed. Beyond
that a pod is left to fail where it is.

Avoidance ends when the node is deleted or rebooted, when the user lists it in the annotation
flamingo.dev/trusted-nodes, or, where nodes cannot be listed, after a day.

Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flamingo_operator.api import timestamps
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster.nodes import AvoidedNode
from flamingo_operator.cluster.observed import Observed, Pod
from flamingo_operator.diagnosis import failures
from flamingo_operator.diagnosis.failures import Failure

MIN_RESTARTS = 2
MAX_AVOIDED = 3
MAX_AVOIDED_UNPROVEN = 1
"""For a revision of which no pod was ever ready: the revision itself may be at fault."""
UNDETECTED_REBOOT_EXPIRY_S = 86_400.0
"""How long a node is avoided if its reboot would not be detected."""
EVERY_NODE = "*"


@dataclass(frozen=True, slots=True)
class NodeAvoidance:
    """The avoided nodes, and the pods that are deleted because of them."""

    nodes: tuple[AvoidedNode, ...] = ()
    faulty: tuple[Pod, ...] = ()
    """Pods on those nodes whose GPU failed."""
    misplaced: tuple[Pod, ...] = ()
    """Unscheduled pods whose node affinity excludes another list of nodes."""
    requeue_at_s: float | None = None


def from_status(status: Mapping[str, Any]) -> tuple[AvoidedNode, ...]:
    """Return the avoided nodes as a status lists them."""
    return tuple(
        AvoidedNode(
            node=one["node"],
            reason=one.get("reason", ""),
            message=one.get("message", ""),
            since_s=timestamps.parse(one["since"]),
            boot_id=one.get("bootID", ""),
        )
        for one in status.get("avoidedNodes", ())
        # The CRD of another release may have pruned fields.
        if {"node", "since"} <= one.keys()
    )


def current_avoidance(
    deployment: FlamingoDeployment, observed: Observed, now_s: float
) -> NodeAvoidance:
    """Return which nodes are avoided now."""
    trusted = deployment.metadata.trusted_nodes
    avoided = [one for one in observed.avoided if not _has_ended(one, observed, trusted, now_s)]
    faulty: list[Pod] = []
    for pod, failure in _pods_with_gpu_faults(deployment, observed, now_s):
        is_avoided = any(one.node == pod.node for one in avoided)
        if not is_avoided and not _is_trusted(pod.node, trusted):
            is_avoided = len(avoided) < _max_avoided(deployment, observed, pod.revision)
            avoided += [_avoided_node(pod, failure, observed, now_s)] if is_avoided else []
        faulty += [pod] if is_avoided else []
    nodes = tuple(avoided)
    expiries_s = (
        one.since_s + UNDETECTED_REBOOT_EXPIRY_S
        for one in nodes
        if not _can_detect_reboot(one, observed)
    )
    return NodeAvoidance(
        nodes,
        tuple(faulty),
        _misplaced_pods(observed, node_names(nodes)),
        min(expiries_s, default=None),
    )


def node_names(nodes: Iterable[AvoidedNode]) -> tuple[str, ...]:
    """Return the nodes' names, sorted."""
    return tuple(sorted(one.node for one in nodes))


def _is_trusted(node: str, trusted: Iterable[str]) -> bool:
    return not {node, EVERY_NODE}.isdisjoint(trusted)


def _has_ended(one: AvoidedNode, observed: Observed, trusted: frozenset[str], now_s: float) -> bool:
    if _is_trusted(one.node, trusted):
        return True
    if _can_detect_reboot(one, observed):
        return observed.nodes[one.node].boot_id != one.boot_id
    is_deleted = bool(observed.nodes) and one.node not in observed.nodes
    return is_deleted or now_s >= one.since_s + UNDETECTED_REBOOT_EXPIRY_S


def _can_detect_reboot(one: AvoidedNode, observed: Observed) -> bool:
    """Whether a reboot of the node would be detected."""
    node = observed.nodes.get(one.node)
    return bool(one.boot_id and node is not None and node.boot_id)


def _pods_with_gpu_faults(
    deployment: FlamingoDeployment, observed: Observed, now_s: float
) -> Iterable[tuple[Pod, Failure]]:
    for pod in observed.pods:
        is_repeated = pod.is_in_backoff or pod.num_restarts >= MIN_RESTARTS
        if pod.node and pod.is_active and is_repeated:
            failure = failures.diagnose_observed(deployment.spec, observed, pod, now_s)
            if failure is not None and failure.reason == "GPUFault":
                yield pod, failure


def _max_avoided(deployment: FlamingoDeployment, observed: Observed, revision: str) -> int:
    has_ready_pod = any(pod.is_ready and pod.revision == revision for pod in observed.pods)
    is_proven = has_ready_pod or any(
        one.hash == revision and one.completed_s is not None for one in observed.revisions
    )
    limit = MAX_AVOIDED if is_proven else MAX_AVOIDED_UNPROVEN
    gpu = deployment.spec.gpu
    if not observed.nodes or gpu.resource_claims:  # a node does not state such devices
        return limit
    return min(
        limit, sum(gpu.resource_name in node.resources for node in observed.nodes.values()) // 2
    )


def _avoided_node(pod: Pod, failure: Failure, observed: Observed, now_s: float) -> AvoidedNode:
    node = observed.nodes.get(pod.node)
    boot_id = node.boot_id if node is not None else ""
    return AvoidedNode(pod.node, failure.reason, failure.message, now_s, boot_id)


def _misplaced_pods(observed: Observed, avoided: tuple[str, ...]) -> tuple[Pod, ...]:
    """Return unscheduled pods whose affinity does not match the nodes avoided now.

    A pod's affinity is immutable; an unscheduled pod loses nothing by being recreated.
    """
    return tuple(
        pod
        for pod in observed.pods
        if pod.is_active and not pod.node and pod.avoided_nodes != avoided
    )
