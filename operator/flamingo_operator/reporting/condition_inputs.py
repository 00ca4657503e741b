"""What the conditions depend on.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flamingo_operator.api import names
from flamingo_operator.api.names import Component
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster import availability
from flamingo_operator.cluster.observed import Observed, OwnedObject, Pod
from flamingo_operator.cluster.rejections import Rejection
from flamingo_operator.decide import Decision
from flamingo_operator.diagnosis.failures import FailureCount


@dataclass(frozen=True, slots=True)
class ConditionInputs:
    """All that the conditions depend on."""

    deployment: FlamingoDeployment
    observed: Observed
    decision: Decision
    failures: Sequence[FailureCount] = ()
    rejections: Sequence[Rejection] = ()
    """The objects that the API server rejected."""
    is_new_spec: bool = False
    """Whether no earlier status was about this generation."""
    is_held: bool = False
    """Whether spec.paused keeps the operator from doing something."""

    @property
    def active_pods(self) -> list[Pod]:
        """Server pods that are neither draining nor finished."""
        return [pod for pod in self.observed.pods if pod.is_active]

    @property
    def num_ready(self) -> int:
        """Number of active server pods that are ready."""
        return sum(pod.is_ready for pod in self.active_pods)

    @property
    def has_lost_readiness(self) -> bool:
        """Whether an active server pod was ready and no longer is."""
        return any(pod.has_lost_readiness for pod in self.active_pods)

    def failures_of(self, component: Component) -> list[FailureCount]:
        """Return the causes for which pods of a component fail."""
        return [one for one in self.failures if one.component == component]

    @property
    def cordoned_nodes(self) -> list[str]:
        """The cordoned nodes that active server pods are still on."""
        nodes = self.observed.nodes
        found = {pod.node for pod in self.active_pods if pod.node in nodes}
        return sorted(one for one in found if nodes[one].is_cordoned)

    @property
    def router(self) -> OwnedObject | None:
        """The Deployment of the routers; None if they are disabled, or before it exists."""
        if not self.deployment.spec.router.enabled:
            return None
        return self._our_deployment(names.router(self.deployment.metadata.name))

    @property
    def lacks_routers(self) -> bool:
        """Whether routers are enabled and none is ready."""
        is_ready = self.router is not None and self.router.num_ready > 0
        return self.deployment.spec.router.enabled and not is_ready

    @property
    def batches(self) -> OwnedObject | None:
        """The Deployment of batches; None if the spec has none, or before it exists."""
        if self.deployment.spec.batches is None:
            return None
        return self._our_deployment(names.batches(self.deployment.metadata.name))

    @property
    def lacks_batches(self) -> bool:
        """Whether the spec has batches and none of their pods is ready."""
        is_ready = self.batches is not None and self.batches.num_ready > 0
        return self.deployment.spec.batches is not None and not is_ready

    def _our_deployment(self, name: str) -> OwnedObject | None:
        found = self.observed.owned.get(("Deployment", name))
        is_ours = found is not None and found.ref.owner_uid in ("", self.deployment.metadata.uid)
        return found if is_ours else None

    @property
    def rejection(self) -> Rejection | None:
        """What keeps objects from being applied: the reason, and the messages of all of them."""
        if self.decision.conflicts:
            messages = [
                f"{one} exists and is not controlled by this {names.KIND}"
                for one in self.decision.conflicts
            ]
            return Rejection("NameConflict", "; ".join(messages))
        found = [*self.rejections, *self._unavailable_kinds]
        if self.decision.unreadable:
            found.append(Rejection("UnreadableFields", "; ".join(self.decision.unreadable)))
        if not found:
            return None
        # One that stalls counts before one that may pass by itself.
        first = min(found, key=lambda one: one.is_transient)
        return Rejection(first.reason, "; ".join(map(str, found)))

    @property
    def _unavailable_kinds(self) -> list[Rejection]:
        return [
            Rejection("KindUnavailable", availability.explain(kind, why))
            for kind, why in self.decision.unavailable.items()
        ]
