"""Decides about the alias Service of a deployment: whether it has it, and when it moves.

How it works. One FlamingoDeployment holds the alias: it controls the Service, whose selector
selects its routers. Others may claim the same alias; they are owners of the Service, too, so that
the garbage collector keeps it as long as anyone claims it. The holder keeps the alias as long as
its spec claims it. When it gives the alias up, or is deleted, a claimant takes the Service over
with one request, which changes the controller and the selector together and is refused if the
Service has changed in the meantime: so there is always one holder, and never none. While the
holder exists, the claimant takes over only when it can serve.

Pure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster.actions import Apply, Delete
from flamingo_operator.cluster.aliases import Neighbor
from flamingo_operator.cluster.observed import Observed, OwnedObject
from flamingo_operator.cluster.projection import digest_of_manifest
from flamingo_operator.manifests import router_service
from flamingo_operator.manifests.common import Manifest, neighbor_reference

SERVICE = "Service"

AliasState: TypeAlias = Literal["NotClaimed", "Held", "Taken", "Waiting"]


@dataclass(frozen=True, slots=True)
class AliasDecision:
    """What to do about the alias of a deployment, and who has it."""

    state: AliasState = "NotClaimed"
    message: str = ""
    """Why it is not held."""
    actions: tuple[Apply | Delete, ...] = ()

    @property
    def concerns_others(self) -> bool:
        """Whether another deployment may have a say in the actions."""
        return any(isinstance(one, Delete) or one.replaces is not None for one in self.actions)


NOT_CLAIMED = AliasDecision()


def decide_alias(
    deployment: FlamingoDeployment, observed: Observed, *, can_serve: bool
) -> AliasDecision:
    """Return what to do about the alias; `can_serve` is whether it may move here."""
    if SERVICE in observed.unavailable:
        return NOT_CLAIMED
    given_up = tuple(_given_up(deployment, observed))
    alias = deployment.spec.router.service.alias
    if alias is None or not deployment.spec.router.enabled:
        return AliasDecision(actions=given_up)
    manifest = router_service.alias(deployment, _claimants(observed.neighbors, alias))
    own = observed.owned.get((SERVICE, alias))
    if own is not None and _is_ours(deployment, own):
        return AliasDecision("Held", actions=(*given_up, *_update(own, manifest)))
    existing = own or observed.foreign_alias
    if existing is None:
        return AliasDecision("Held", actions=(*given_up, Apply(manifest, is_new=True)))
    state, message = _obstacle(existing, observed.neighbors, can_serve=can_serve)
    if state != "Held":
        return AliasDecision(state, message, given_up)
    taking = Apply(manifest, is_new=False, replaces=existing.ref)
    return AliasDecision("Held", actions=(*given_up, taking))


def _is_ours(deployment: FlamingoDeployment, service: OwnedObject) -> bool:
    owner = service.ref.owner_uid
    return owner == deployment.metadata.uid or (not owner and bool(service.digest))


def _claimants(neighbors: Iterable[Neighbor], alias: str) -> list[Manifest]:
    claiming = (one for one in neighbors if one.alias == alias and not one.is_terminating)
    return [neighbor_reference(one) for one in sorted(claiming, key=lambda one: one.uid)]


def _update(service: OwnedObject, manifest: Manifest) -> Iterator[Apply]:
    is_same = digest_of_manifest(manifest) in (service.digest, service.applied)
    if not (is_same or service.is_terminating):
        yield Apply(manifest, is_new=False)


def _given_up(deployment: FlamingoDeployment, observed: Observed) -> Iterator[Delete]:
    """Yield aliases that are no longer claimed, by this deployment or any other."""
    router = deployment.spec.router
    kept = router.service.alias if router.enabled else None
    for (kind, name), one in sorted(observed.owned.items()):
        is_alias = kind == SERVICE and names.is_alias(deployment.metadata.name, name)
        is_claimed = name == kept or any(_claimants(observed.neighbors, name))
        if is_alias and not (is_claimed or one.is_terminating) and _is_ours(deployment, one):
            yield Delete(one.ref, "no FlamingoDeployment claims this alias")


def _obstacle(
    service: OwnedObject, neighbors: Iterable[Neighbor], *, can_serve: bool
) -> tuple[AliasState, str]:
    """Return Held if the Service may be taken over, or why it may not."""
    name, holder = service.ref.name, _holder(service, neighbors)
    if not service.digest:
        return "Taken", f"Service {name} exists and was not created by the operator"
    if service.is_terminating:
        return "Waiting", f"Service {name} is being deleted and is then created again"
    if holder is None or holder.is_terminating:
        return "Held", ""
    if holder.needs(name):
        return "Taken", _claim(holder, name)
    message = f"the alias {name} moves here from {names.KIND} {holder.name}"
    message += " when a router pod and a server pod are ready"
    return ("Held", "") if can_serve else ("Waiting", message)


def _claim(holder: Neighbor, name: str) -> str:
    """Return why a Service stays with its holder, and what to do about it."""
    if names.is_alias(holder.name, name):
        message = f"{names.KIND} {holder.name} has the alias {name}"
        return f"{message}: remove router.service.alias from it to move the alias here"
    message = f"Service {name} is not an alias but of {names.KIND} {holder.name} itself"
    return f"{message}: choose another name"


def _holder(service: OwnedObject, neighbors: Iterable[Neighbor]) -> Neighbor | None:
    """Return the deployment that controls the Service or, without a controller, may adopt it."""
    owner, label = service.ref.owner_uid, service.ref.deployment
    found = (one for one in neighbors if one.uid == owner or (not owner and one.name == label))
    return next(found, None)
