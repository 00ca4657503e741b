"""Which nodes get no more servers, because a GPU of theirs failed again and again.

A node is avoided when a server there has the cause GPUFault and was begun anew
twice, or its kubelet backs off from it (which means two ends within ten minutes).
One fault is none: the server is started again where it is, as Kubernetes does.

Software may fail like hardware, and must not make a fleet wander from node to
node. So the nodes avoided are few: three, or one as long as no server of that
revision has ever worked, and never more than half of those with such GPUs, where
nodes can be seen. Beyond that a server is left to fail where it is.

It ends when the node is gone or was booted anew, when a person trusts it, or,
where nodes cannot be seen, after a day.

Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flamingo_operator.api import timestamps
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster.observed import AvoidedNode, Observed, Pod
from flamingo_operator.diagnosis import pod_failure
from flamingo_operator.diagnosis.failures import Failure

MIN_RESTARTS = 2
MAX_AVOIDED = 3
MAX_UNPROVEN = 1
"""Of a revision of which no server has ever worked: it may be at fault itself."""
BLIND_S = 86_400.0
"""How long a node is avoided whose reboot could not be seen."""
EVERY_NODE = "*"


@dataclass(frozen=True, slots=True)
class Avoidance:
    """The nodes avoided, and who has to leave for it."""

    nodes: tuple[AvoidedNode, ...] = ()
    faulty: tuple[Pod, ...] = ()
    """Servers whose GPU fails, on those nodes."""
    misplaced: tuple[Pod, ...] = ()
    """Servers that wait for a node with another list of nodes in mind."""
    wake_s: float | None = None


def remembered(status: Mapping[str, Any]) -> tuple[AvoidedNode, ...]:
    """Return the nodes that a status says are avoided."""
    return tuple(
        AvoidedNode(
            node=one["node"],
            reason=one["reason"],
            message=one["message"],
            since_s=timestamps.parse(one["since"]),
            boot_id=one.get("bootID", ""),
        )
        for one in status.get("avoidedNodes", ())
    )


def avoidance(deployment: FlamingoDeployment, observed: Observed, now_s: float) -> Avoidance:
    """Return which nodes are avoided now."""
    trusted = deployment.metadata.trusted_nodes
    kept = [one for one in observed.avoided if not _is_over(one, observed, trusted, now_s)]
    faulty: list[Pod] = []
    for pod, why in _faulty(deployment, observed, now_s):
        is_known = any(one.node == pod.node for one in kept)
        if not is_known and not _is_trusted(pod.node, trusted):
            is_known = len(kept) < _most(deployment, observed, pod.revision)
            kept += [_avoided(pod, why, observed, now_s)] if is_known else []
        faulty += [pod] if is_known else []
    nodes = tuple(kept)
    blind = (one.since_s + BLIND_S for one in nodes if not _is_seen(one, observed))
    return Avoidance(
        nodes, tuple(faulty), _misplaced(observed, names_of(nodes)), min(blind, default=None)
    )


def names_of(nodes: Iterable[AvoidedNode]) -> tuple[str, ...]:
    """Return the nodes' names, in order."""
    return tuple(sorted(one.node for one in nodes))


def _is_trusted(node: str, trusted: Iterable[str]) -> bool:
    return not {node, EVERY_NODE}.isdisjoint(trusted)


def _is_over(one: AvoidedNode, observed: Observed, trusted: frozenset[str], now_s: float) -> bool:
    if _is_trusted(one.node, trusted):
        return True
    if _is_seen(one, observed):
        return observed.nodes[one.node].boot_id != one.boot_id
    is_gone = bool(observed.nodes) and one.node not in observed.nodes
    return is_gone or now_s >= one.since_s + BLIND_S


def _is_seen(one: AvoidedNode, observed: Observed) -> bool:
    """Whether a reboot of the node would be seen."""
    node = observed.nodes.get(one.node)
    return bool(one.boot_id and node is not None and node.boot_id)


def _faulty(
    deployment: FlamingoDeployment, observed: Observed, now_s: float
) -> Iterable[tuple[Pod, Failure]]:
    for pod in observed.pods:
        is_repeated = pod.is_in_backoff or pod.num_restarts >= MIN_RESTARTS
        if pod.node and pod.is_active and is_repeated:
            why = pod_failure.diagnose_pod(deployment.spec, observed, pod, now_s)
            if why is not None and why.reason == "GPUFault":
                yield pod, why


def _most(deployment: FlamingoDeployment, observed: Observed, revision: str) -> int:
    has_worked = any(pod.is_ready and pod.revision == revision for pod in observed.pods)
    is_proven = has_worked or any(
        one.hash == revision and one.completed_s is not None for one in observed.revisions
    )
    most = MAX_AVOIDED if is_proven else MAX_UNPROVEN
    if not observed.nodes:
        return most
    gpu = deployment.spec.gpu.resource_name
    return min(most, sum(gpu in node.resources for node in observed.nodes.values()) // 2)


def _avoided(pod: Pod, why: Failure, observed: Observed, now_s: float) -> AvoidedNode:
    node = observed.nodes.get(pod.node)
    boot_id = node.boot_id if node is not None else ""
    return AvoidedNode(pod.node, why.reason, why.message, now_s, boot_id)


def _misplaced(observed: Observed, names: tuple[str, ...]) -> tuple[Pod, ...]:
    """Return who may yet be placed on an avoided node, or waits though a node is avoided no more.

    An affinity cannot be changed; who waits for a node loses nothing by being made anew.
    """
    return tuple(
        pod
        for pod in observed.pods
        if pod.is_active and not pod.node and pod.avoided_nodes != names
    )
