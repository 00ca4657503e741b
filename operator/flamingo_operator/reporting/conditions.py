"""The conditions of a FlamingoDeployment: one function for each type.

A message contains nothing that differs from one reconciliation to the next without a
reason, because a status is written only when it changes.

Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster.observed import Observed, Pod
from flamingo_operator.decide import Decision
from flamingo_operator.diagnosis.failures import FailureCount
from flamingo_operator.manifests import revisions

GOOD_WHEN_FALSE = frozenset({"Degraded", "ScalingLimited"})
"""Condition types whose status True means a problem."""


@dataclass(frozen=True, slots=True)
class ComputedCondition:
    """One condition, without its times."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str

    @property
    def is_good(self) -> bool:
        """Whether it needs no attention."""
        return (self.status == "True") != (self.type in GOOD_WHEN_FALSE)


@dataclass(frozen=True, slots=True)
class ConditionInputs:
    """All that the conditions depend on."""

    deployment: FlamingoDeployment
    observed: Observed
    decision: Decision
    failures: Sequence[FailureCount]
    rejections: Sequence[str]
    """The API server's messages about the objects that it rejected."""

    @property
    def active_pods(self) -> list[Pod]:
        """Server pods that are neither draining nor finished."""
        return [pod for pod in self.observed.pods if pod.is_active]

    @property
    def num_ready(self) -> int:
        """Number of active server pods that are ready."""
        return sum(pod.is_ready for pod in self.active_pods)

    @property
    def num_ready_routers(self) -> int:
        """Number of router pods that are ready."""
        name = names.router(self.deployment.metadata.name)
        router = self.observed.owned.get(("Deployment", name))
        return router.num_ready if router is not None else 0


def compute_conditions(inputs: ConditionInputs) -> Iterator[ComputedCondition]:
    """Yield the conditions of a deployment whose spec is valid."""
    yield _ready(inputs)
    yield _progressing(inputs)
    yield _degraded(inputs)
    yield _scaling_active(inputs)
    yield _accepted(inputs)
    if inputs.deployment.spec.router.enabled:
        yield _router_ready(inputs)
    if inputs.decision.cache != "NotConfigured":
        yield _model_cached(inputs)
    if inputs.deployment.spec.scaling.mode == "Internal":
        yield _scaling_limited(inputs)


def conditions_of_invalid_spec(errors: Sequence[str]) -> Iterator[ComputedCondition]:
    """Yield the conditions of a deployment whose spec is invalid."""
    message = "; ".join(errors)
    yield ComputedCondition("Ready", "Unknown", "InvalidSpec", message)
    yield ComputedCondition("Accepted", "False", "InvalidSpec", message)


def _ready(inputs: ConditionInputs) -> ComputedCondition:
    num, num_ready = inputs.decision.desired.num, inputs.num_ready
    message = f"{min(num_ready, num)} of {num} server pods are ready"
    if inputs.deployment.spec.suspend:
        return ComputedCondition("Ready", "False", "Suspended", "spec.suspend is true")
    if inputs.deployment.spec.router.enabled and not inputs.num_ready_routers:
        return _not_accepted(inputs) or ComputedCondition(
            "Ready", "False", "RouterNotReady", "no router pod is ready"
        )
    if num == 0:
        return ComputedCondition("Ready", "True", "ScaledToZero", "scaled to 0 replicas")
    if num_ready >= num:
        return ComputedCondition("Ready", "True", "AllReady", message)
    if num_ready:
        return ComputedCondition("Ready", "True", "PartiallyReady", message)
    return _not_ready(inputs, message)


def _not_ready(inputs: ConditionInputs, message: str) -> ComputedCondition:
    not_accepted = _not_accepted(inputs)
    if not_accepted is not None:
        return not_accepted
    if inputs.failures:
        first = inputs.failures[0]
        message = f"{message}; {_failure_message(first)}"
        return ComputedCondition("Ready", "False", first.reason, message)
    if inputs.decision.cache in ("Preloading", "PreloadFailed"):
        message = "the model is not preloaded; see condition ModelCached"
        return ComputedCondition("Ready", "False", inputs.decision.cache, message)
    return ComputedCondition("Ready", "False", "Loading", message)


def _not_accepted(inputs: ConditionInputs) -> ComputedCondition | None:
    if inputs.rejections or inputs.decision.conflicts:
        message = "some objects were not applied; see condition Accepted"
        return ComputedCondition("Ready", "False", "NotAccepted", message)
    return None


def _failure_message(failure: FailureCount) -> str:
    return f"{failure.reason} ({failure.count} pod(s)): {failure.message}"


def _progressing(inputs: ConditionInputs) -> ComputedCondition:
    target, spec = inputs.decision.target, inputs.deployment.spec
    if target is None:
        message = "creating a new revision"
        return ComputedCondition("Progressing", "True", "RolloutInProgress", message)
    update, revision = target.update.hash, target.revision.hash
    missed = f"revision {update} did not become ready within spec.rollout.progressDeadlineSeconds"
    if target.is_rolled_back and not spec.rollout.paused:
        message = f"{missed}; rolled back to revision {revision}"
        return ComputedCondition("Progressing", "False", "RolledBack", message)
    if target.update.failed_s is not None:
        return ComputedCondition("Progressing", "False", "ProgressDeadlineExceeded", missed)
    is_outdated = any(pod.revision != update for pod in inputs.active_pods)
    is_complete = revisions.is_complete(target.update)
    if spec.rollout.paused and (is_outdated or not is_complete):
        return ComputedCondition("Progressing", "False", "Paused", "spec.rollout.paused is true")
    if is_outdated or not (is_complete or inputs.decision.desired.num == 0):
        message = f"rolling out revision {update}"
        return ComputedCondition("Progressing", "True", "RolloutInProgress", message)
    return _scaling_progress(inputs)


def _scaling_progress(inputs: ConditionInputs) -> ComputedCondition:
    num = inputs.decision.desired.num
    if len(inputs.active_pods) < num or inputs.num_ready < num:
        message = f"scaling up to {num} replicas"
        return ComputedCondition("Progressing", "True", "ScalingUp", message)
    if any(pod.is_draining or pod.is_terminating for pod in inputs.observed.pods):
        message = f"draining pods, down to {num} replicas"
        return ComputedCondition("Progressing", "True", "Draining", message)
    message = "all server pods run the desired revision"
    return ComputedCondition("Progressing", "True", "Complete", message)


def _degraded(inputs: ConditionInputs) -> ComputedCondition:
    if not inputs.failures:
        return ComputedCondition("Degraded", "False", "AsExpected", "no server pod is failing")
    message = "; ".join(_failure_message(failure) for failure in inputs.failures)
    return ComputedCondition("Degraded", "True", inputs.failures[0].reason, message)


def _scaling_active(inputs: ConditionInputs) -> ComputedCondition:
    if inputs.deployment.spec.suspend:
        return ComputedCondition("ScalingActive", "False", "Suspended", "spec.suspend is true")
    if inputs.deployment.spec.scaling.mode == "External":
        message = "the number of replicas is set in spec.replicas"
        return ComputedCondition("ScalingActive", "True", "External", message)
    reported = inputs.decision.desired.reported
    if reported is None or reported.reason == "SignalLost":
        message = "no load report received from any router"
        return ComputedCondition("ScalingActive", "False", "SignalLost", message)
    message = "scaling on demand reported by the routers"
    return ComputedCondition("ScalingActive", "True", "Internal", message)


def _accepted(inputs: ConditionInputs) -> ComputedCondition:
    if inputs.decision.conflicts:
        message = "; ".join(
            f"{one} exists and is not controlled by this {names.KIND}"
            for one in inputs.decision.conflicts
        )
        return ComputedCondition("Accepted", "False", "NameConflict", message)
    if inputs.rejections:
        return ComputedCondition("Accepted", "False", "Rejected", "; ".join(inputs.rejections))
    message = "all objects were accepted by the API server"
    return ComputedCondition("Accepted", "True", "Accepted", message)


def _router_ready(inputs: ConditionInputs) -> ComputedCondition:
    if not inputs.num_ready_routers:
        return ComputedCondition("RouterReady", "False", "NotReady", "no router pod is ready")
    return ComputedCondition("RouterReady", "True", "Ready", "at least one router pod is ready")


def _model_cached(inputs: ConditionInputs) -> ComputedCondition:
    match inputs.decision.cache:
        case "Ready":
            message = "the model files are in the cache volume"
            return ComputedCondition("ModelCached", "True", "Preloaded", message)
        case "PreloadFailed":
            message = "the preload Job failed; check its pods, then delete the Job to retry"
            return ComputedCondition("ModelCached", "False", "PreloadFailed", message)
        case _:
            message = "the preload Job is running"
            return ComputedCondition("ModelCached", "False", "Preloading", message)


def _scaling_limited(inputs: ConditionInputs) -> ComputedCondition:
    desired, scaling = inputs.decision.desired, inputs.deployment.spec.scaling
    reported = desired.reported
    is_at_max = desired.num >= scaling.max_replicas
    if reported is not None and (
        reported.bound == "Max" or (reported.bound == "Schedule" and is_at_max)
    ):
        message = f"{reported.message}, limited to {desired.num}"
        return ComputedCondition("ScalingLimited", "True", "TooManyReplicas", message)
    message = "desired replicas are within bounds"
    return ComputedCondition("ScalingLimited", "False", "DesiredWithinRange", message)
