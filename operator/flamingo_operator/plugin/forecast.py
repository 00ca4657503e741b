"""What there is, and a changed spec → what the operator would do next.

It asks the operator's own `decide`, once for the deployment as it would be. What
cannot be seen from outside, the routers' demand, is left as the status has it.

Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster import kinds, observed
from flamingo_operator.cluster.actions import Apply
from flamingo_operator.cluster.observed import Observed
from flamingo_operator.cluster.store import Store
from flamingo_operator.decide import Decision, decide
from flamingo_operator.manifests.common import Release
from flamingo_operator.rollout import node_avoidance
from flamingo_operator.scaling.autoscale import PodCounts
from flamingo_operator.scaling.replicas import DemandAndCapacity, desired_replicas, from_status

Json: TypeAlias = Mapping[str, Any]


def actions(
    deployment: FlamingoDeployment,
    status: Json,
    there: Mapping[str, Iterable[Json]],
    nodes: Iterable[Json],
    now_s: float,
) -> list[str]:
    """Return what the operator's next pass would do; `there` has the objects by kind."""
    raws = {kind: list(items) for kind, items in there.items()}
    seen = _observed(deployment, raws, nodes)
    seen = replace(seen, avoided=node_avoidance.from_status(status))
    decision = _decided(deployment, status, seen, _release(deployment, raws), now_s)
    made = [one for one in decision.actions if isinstance(one, Apply) and decision.target is None]
    new = [one.manifest for one in made if one.manifest["kind"] == kinds.REVISION.name]
    if not new:
        return [str(one) for one in decision.actions]
    # The pass after the one that writes the new revision down is the one that makes pods.
    known = (*seen.revisions, *(_as_stored(one) for one in new))
    after = replace(seen, revisions=known)
    more = _decided(deployment, status, after, _release(deployment, raws), now_s)
    told = [str(one) for one in decision.actions]
    return told + [text for one in more.actions if (text := str(one)) not in told]


def _as_stored(manifest: Json) -> observed.Revision:
    metadata = {**manifest["metadata"], "uid": "new", "resourceVersion": "0"}
    return observed.parse_revision({**manifest, "metadata": metadata})


def _observed(
    deployment: FlamingoDeployment, raws: Mapping[str, list[Json]], nodes: Iterable[Json]
) -> Observed:
    store = Store(changed=_ignore)
    for kind, items in raws.items():
        for raw in items:
            store.put(raw, kind)
    for raw in nodes:
        store.put_node(observed.parse_node(raw))
    store.has_pod_monitors = kinds.POD_MONITOR.name in raws
    metadata = deployment.metadata
    return store.observed(
        names.deployment_key(metadata.namespace, metadata.name), metadata.uid or ""
    )


def _ignore(key: str) -> None:
    """Nobody waits for the turn of `key`: there is one look."""
    del key


def _decided(
    deployment: FlamingoDeployment, status: Json, seen: Observed, release: Release, now_s: float
) -> Decision:
    servers = PodCounts(sum(pod.is_active and pod.is_ready for pod in seen.pods))
    desired = desired_replicas(
        deployment.spec, DemandAndCapacity(), from_status(status), servers, now_s
    )
    return decide(deployment, seen, release, desired, now_s)


def _release(deployment: FlamingoDeployment, raws: Mapping[str, list[Json]]) -> Release:
    """Return what the running operator brings along, as its objects show it."""
    name = deployment.metadata.name
    router = _named(raws, "Deployment", names.router(name))
    policy = _named(raws, "NetworkPolicy", names.servers_service(name))
    image = "default"
    if router is not None:
        image = router["spec"]["template"]["spec"]["containers"][0]["image"]
    namespace = ""
    for one in policy["spec"]["ingress"][0].get("from", ()) if policy is not None else ():
        labels = one.get("namespaceSelector", {}).get("matchLabels", {})
        namespace = labels.get("kubernetes.io/metadata.name", namespace)
    return Release(server_image="default", router_image=image, operator_namespace=namespace)


def _named(raws: Mapping[str, list[Json]], kind: str, name: str) -> Json | None:
    found = (one for one in raws.get(kind, ()) if one["metadata"]["name"] == name)
    return next(found, None)
