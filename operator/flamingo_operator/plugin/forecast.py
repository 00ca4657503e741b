"""The operator's next actions if a spec were applied.

It calls the operator's own `decide` on the objects in the cluster. The demand that
routers report is not available here, so the desired replicas are those in the status.

Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster import kinds, observed
from flamingo_operator.cluster.actions import Apply
from flamingo_operator.cluster.observed import Observed, Revision
from flamingo_operator.cluster.store import Store
from flamingo_operator.decide import Decision, decide
from flamingo_operator.manifests.common import Release
from flamingo_operator.rollout import node_avoidance
from flamingo_operator.scaling.autoscale import PodCounts
from flamingo_operator.scaling.replicas import DemandAndCapacity, desired_replicas, from_status

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClusterObjects:
    """The objects that exist."""

    owned: Mapping[str, Sequence[Json]]
    """The deployment's, by kind."""
    nodes: Iterable[Json] = ()


def next_actions(
    deployment: FlamingoDeployment, status: Json, objects: ClusterObjects, now_s: float
) -> list[str]:
    """Return what the operator's next reconciliations would do, one line for each action."""
    current = _observe(deployment, objects)
    current = replace(current, avoided=node_avoidance.from_status(status))
    release = _release(deployment, objects.owned)
    decision = _decide(deployment, status, current, release, now_s)
    actions = [str(one) for one in decision.actions]
    new_revisions = tuple(_new_revisions(decision))
    if not new_revisions:
        return actions
    # The reconciliation after the one that creates the revision creates the pods.
    after = replace(current, revisions=(*current.revisions, *new_revisions))
    more = _decide(deployment, status, after, release, now_s)
    return actions + [text for one in more.actions if (text := str(one)) not in actions]


def _new_revisions(decision: Decision) -> Iterable[Revision]:
    """Yield the revisions that the decision creates, as they will be stored."""
    if decision.target is not None:
        return
    for action in decision.actions:
        if isinstance(action, Apply) and action.manifest["kind"] == kinds.REVISION.name:
            stored = {"uid": "new", "resourceVersion": "0"}
            metadata = {**action.manifest["metadata"], **stored}
            yield observed.parse_revision({**action.manifest, "metadata": metadata})


def _observe(deployment: FlamingoDeployment, objects: ClusterObjects) -> Observed:
    store = Store(on_change=_ignore)
    for kind, items in objects.owned.items():
        for raw in items:
            store.put(raw, kind)
    for raw in objects.nodes:
        store.put_node(observed.parse_node(raw))
    store.has_pod_monitors = kinds.POD_MONITOR.name in objects.owned
    metadata = deployment.metadata
    return store.observed(
        names.deployment_key(metadata.namespace, metadata.name), metadata.uid or ""
    )


def _ignore(key: str) -> None:
    """Enqueue nothing: there is one observation."""
    del key


def _decide(
    deployment: FlamingoDeployment, status: Json, current: Observed, release: Release, now_s: float
) -> Decision:
    pods = PodCounts(sum(pod.is_active and pod.is_ready for pod in current.pods))
    state = from_status(status)
    desired = desired_replicas(deployment.spec, DemandAndCapacity(), state, pods, now_s)
    return decide(deployment, current, release, desired, now_s)


def _release(deployment: FlamingoDeployment, owned: Mapping[str, Sequence[Json]]) -> Release:
    """Return the images and the namespace of the running operator, as its objects show them."""
    name = deployment.metadata.name
    router = _find(owned, "Deployment", names.router(name))
    policy = _find(owned, "NetworkPolicy", names.servers_service(name))
    image = "default"
    if router is not None:
        image = router["spec"]["template"]["spec"]["containers"][0]["image"]
    namespace = ""
    for one in policy["spec"]["ingress"][0].get("from", ()) if policy is not None else ():
        labels = one.get("namespaceSelector", {}).get("matchLabels", {})
        namespace = labels.get("kubernetes.io/metadata.name", namespace)
    return Release(server_image="default", router_image=image, operator_namespace=namespace)


def _find(owned: Mapping[str, Sequence[Json]], kind: str, name: str) -> Json | None:
    return next((one for one in owned.get(kind, ()) if one["metadata"]["name"] == name), None)
