"""What the operator would do if a spec were applied, from the objects that a user may list.

The forecast is the operator's own. The demand that routers report is not available here, so the
desired replicas are those in the status.

Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster import kinds, nodes
from flamingo_operator.cluster.aliases import parse_neighbor
from flamingo_operator.cluster.observed import Observed, parse_owned_object
from flamingo_operator.cluster.store import Store
from flamingo_operator.forecast import Forecast, forecast, with_status
from flamingo_operator.manifests import network_policies
from flamingo_operator.manifests.common import Release
from flamingo_operator.scaling.autoscale import PodCounts
from flamingo_operator.scaling.replicas import DemandAndCapacity, desired_replicas, from_status

Json: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClusterObjects:
    """The objects that exist."""

    owned: Mapping[str, Sequence[Json]]
    """The deployment's, by kind."""
    nodes: Iterable[Json] = ()
    deployments: Iterable[Json] = ()
    """Those of the namespace, if this one claims an alias."""
    alias: Json | None = None
    """The Service that it claims."""


def forecast_of(
    deployment: FlamingoDeployment, status: Json, objects: ClusterObjects, now_s: float
) -> Forecast:
    """Return what the operator would do about a deployment in this cluster."""
    current = with_status(_observe(deployment, objects), status)
    pods = PodCounts(sum(pod.is_active and pod.is_ready for pod in current.pods))
    desired = desired_replicas(
        deployment.spec, DemandAndCapacity(), from_status(status), pods, now_s
    )
    release = _release(deployment, objects.owned)
    return forecast(deployment, current, release, desired, now_s)


def _observe(deployment: FlamingoDeployment, objects: ClusterObjects) -> Observed:
    store = Store(on_change=_ignore)
    for kind, items in objects.owned.items():
        for raw in items:
            store.put(raw, kind)
    for raw in objects.nodes:
        store.put_node(nodes.parse_node(raw))
    for optional in kinds.OPTIONAL_KINDS:
        if optional.name not in objects.owned:
            store.set_unavailable(optional.name, "", kinds.NOT_SERVED)
    metadata = deployment.metadata
    key = names.deployment_key(metadata.namespace, metadata.name)
    others = map(parse_neighbor, objects.deployments)
    return replace(
        store.observed(key, metadata.uid or ""),
        neighbors=tuple(one for one in others if one.name != metadata.name),
        foreign_alias=parse_owned_object(objects.alias, "Service") if objects.alias else None,
    )


def _ignore(key: str) -> None:
    """Enqueue nothing: there is one observation."""
    del key


def _release(deployment: FlamingoDeployment, owned: Mapping[str, Sequence[Json]]) -> Release:
    """Return the images and the namespace of the running operator, as its objects show them."""
    name = deployment.metadata.name
    policy = _find(owned, "NetworkPolicy", names.servers_service(name))
    peers = policy["spec"]["ingress"][0].get("from", ()) if policy is not None else ()
    return Release(
        server_image="default",
        router_image=_image(_find(owned, "Deployment", names.router(name)), "router"),
        batches_image=_image(_find(owned, "Deployment", names.batches(name)), "batches"),
        operator_namespace=network_policies.operator_namespace(peers),
        scraper_namespaces=network_policies.scraper_namespaces(peers),
    )


def _image(deployment: Json | None, container: str) -> str:
    if deployment is None:
        return "default"
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return next(str(one["image"]) for one in containers if one["name"] == container)


def _find(owned: Mapping[str, Sequence[Json]], kind: str, name: str) -> Json | None:
    return next((one for one in owned.get(kind, ()) if one["metadata"]["name"] == name), None)
