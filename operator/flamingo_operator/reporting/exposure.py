"""Whether the fleet is reachable under the addresses that the spec asks for, and which these are.

Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from flamingo_operator.api import names
from flamingo_operator.api.routes import ParentReference
from flamingo_operator.api.status import AddressStatus
from flamingo_operator.cluster import availability
from flamingo_operator.cluster.exposure import NOT_EXPOSED, Exposure, ParentStatus
from flamingo_operator.cluster.observed import OwnedObject
from flamingo_operator.reporting.condition_inputs import ConditionInputs

ExposureReason: TypeAlias = Literal[
    "KindUnavailable", "AliasTaken", "NotAccepted", "AliasPending", "AddressPending", "RoutePending"
]
"""What keeps the fleet from being reachable, the worst first."""
_ORDER: tuple[ExposureReason, ...] = (
    "KindUnavailable",
    "AliasTaken",
    "NotAccepted",
    "AliasPending",
    "AddressPending",
    "RoutePending",
)
_EXPOSING_KINDS = ("Ingress", "HTTPRoute", "InferencePool")


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that keeps the fleet from being reachable under an address."""

    reason: ExposureReason
    message: str


def is_requested(inputs: ConditionInputs) -> bool:
    """Whether the spec asks for an alias, or for an address outside of the cluster."""
    spec = inputs.deployment.spec
    if spec.inference_pool is not None:
        return True
    router = spec.router
    asked = (router.ingress, router.http_route, router.service.alias)
    is_balanced = router.service.type == "LoadBalancer"
    return router.enabled and (is_balanced or any(one is not None for one in asked))


def obstacles(inputs: ConditionInputs) -> list[Obstacle]:
    """Return what keeps the fleet from being reachable, the worst first."""
    found = [
        *_unavailable(inputs),
        *_alias(inputs),
        *_service(inputs),
        *_ingress(inputs),
        *_http_route(inputs),
        *_inference_pool(inputs),
    ]
    return sorted(found, key=lambda one: _ORDER.index(one.reason))


def _unavailable(inputs: ConditionInputs) -> Iterator[Obstacle]:
    for kind, why in inputs.decision.unavailable.items():
        if kind in _EXPOSING_KINDS:
            yield Obstacle("KindUnavailable", availability.explain(kind, why))


def _alias(inputs: ConditionInputs) -> Iterator[Obstacle]:
    alias, name = inputs.decision.alias, inputs.deployment.spec.router.service.alias
    if alias.state == "Taken":
        yield Obstacle("AliasTaken", alias.message)
    if alias.state == "Waiting":
        yield Obstacle("AliasPending", alias.message)
    if alias.state == "Held" and not _exposed_service(inputs):
        message = f"Service {name} does not lead here yet; see condition Accepted"
        yield Obstacle("AliasPending", message)


def _service(inputs: ConditionInputs) -> Iterator[Obstacle]:
    router, name = inputs.deployment.spec.router, _exposed_service(inputs)
    is_balanced = router.enabled and router.service.type == "LoadBalancer"
    if name and is_balanced and not _exposure(inputs, "Service", name).addresses:
        yield Obstacle("AddressPending", f"the load balancer of Service {name} has no address yet")


def _ingress(inputs: ConditionInputs) -> Iterator[Obstacle]:
    name = inputs.deployment.metadata.name
    is_asked = inputs.deployment.spec.router.ingress is not None
    if is_asked and not _exposure(inputs, "Ingress", name).addresses:
        message = f"no ingress controller has reported an address for Ingress {name}"
        yield Obstacle("AddressPending", message)


def _http_route(inputs: ConditionInputs) -> Iterator[Obstacle]:
    name, route = inputs.deployment.metadata.name, inputs.deployment.spec.router.http_route
    if route is None or "HTTPRoute" in inputs.decision.unavailable:
        return
    parents = _exposure(inputs, "HTTPRoute", name).parents
    yield from _refusals(f"HTTPRoute {name}", parents)
    for ref in route.parent_refs:
        if not any(_is_of(one, ref, inputs) for one in parents):
            message = f"{_gateway(ref.namespace, ref.name)} has not accepted HTTPRoute {name} yet"
            yield Obstacle("RoutePending", message)


def _inference_pool(inputs: ConditionInputs) -> Iterator[Obstacle]:
    """Yield refusals; a pool is used only when a route of the user refers to it."""
    name = inputs.deployment.metadata.name
    if inputs.deployment.spec.inference_pool is not None:
        parents = _exposure(inputs, "InferencePool", name).parents
        yield from _refusals(f"InferencePool {name}", parents)


def _refusals(what: str, parents: tuple[ParentStatus, ...]) -> Iterator[Obstacle]:
    for one in parents:
        if one.refusal:
            gateway = _gateway(one.namespace, one.name)
            yield Obstacle("NotAccepted", f"{gateway} does not serve {what}: {one.refusal}")


def _gateway(namespace: str | None, name: str) -> str:
    return f"Gateway {namespace}/{name}" if namespace else f"Gateway {name}"


def _is_of(status: ParentStatus, ref: ParentReference, inputs: ConditionInputs) -> bool:
    own = inputs.deployment.metadata.namespace
    return (status.namespace or own, status.name, status.section) == (
        ref.namespace or own,
        ref.name,
        ref.section_name or "",
    )


def addresses(inputs: ConditionInputs) -> Iterator[AddressStatus]:
    """Yield the addresses outside of the cluster, without a scheme: who terminates TLS knows it."""
    name, router = inputs.deployment.metadata.name, inputs.deployment.spec.router
    if not router.enabled:
        return
    port = router.service.port
    for one in _exposure(inputs, "Service", _exposed_service(inputs)).addresses:
        yield AddressStatus(kind="Service", value=_with_port(one, port))
    if router.ingress is not None:
        hosts = router.ingress.hosts or _exposure(inputs, "Ingress", name).addresses
        for one in hosts:
            yield AddressStatus(kind="Ingress", value=one + router.ingress.path.rstrip("/"))
    route = router.http_route
    parents = _exposure(inputs, "HTTPRoute", name).parents
    if route is not None and any(not one.refusal for one in parents):
        for one in route.hostnames:
            yield AddressStatus(kind="HTTPRoute", value=one + route.path.rstrip("/"))


def url_service(inputs: ConditionInputs) -> str:
    """Return the name of the Service that clients in the cluster call; with routers only."""
    return _exposed_service(inputs) or names.service(inputs.deployment.metadata.name)


def owns_url(inputs: ConditionInputs) -> bool:
    """Whether the Service that clients in the cluster call is not that of another owner."""
    name = inputs.deployment.metadata.name
    has_routers = inputs.deployment.spec.router.enabled
    service = url_service(inputs) if has_routers else names.servers_service(name)
    return f"Service {service}" not in inputs.decision.conflicts


def _exposed_service(inputs: ConditionInputs) -> str:
    """Return the Service that the spec exposes; empty if that is an alias that it does not have."""
    alias = inputs.deployment.spec.router.service.alias
    if alias is None:
        return names.service(inputs.deployment.metadata.name)
    is_held = inputs.decision.alias.state == "Held"
    return alias if is_held and _owned(inputs, "Service", alias) is not None else ""


def _exposure(inputs: ConditionInputs, kind: str, name: str) -> Exposure:
    found = _owned(inputs, kind, name)
    return NOT_EXPOSED if found is None else found.exposure


def _owned(inputs: ConditionInputs, kind: str, name: str) -> OwnedObject | None:
    found = inputs.observed.owned.get((kind, name))
    is_ours = found is not None and found.ref.owner_uid in ("", inputs.deployment.metadata.uid)
    return found if is_ours else None


def _with_port(address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address else address
    return host if port == names.HTTP_PORT else f"{host}:{port}"
