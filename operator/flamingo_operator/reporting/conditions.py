"""The conditions of a FlamingoDeployment: one function for each type.

A message contains nothing that differs from one reconciliation to the next without a
reason, because a status is written only when it changes.

Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flamingo_operator.diagnosis.failures import FailureCount
from flamingo_operator.reporting import exposure, reasons
from flamingo_operator.reporting.condition_inputs import ConditionInputs
from flamingo_operator.reporting.disruptions import blocked_evictions
from flamingo_operator.reporting.progress import Progress, compute_progress
from flamingo_operator.reporting.reasons import ConditionStatus, ConditionType

PRELOAD_STATES = {
    "Preloading": "the preload Job has not completed",
    "PreloadFailed": "the preload Job failed; correct the cause and delete the Job to retry",
}


@dataclass(frozen=True, slots=True)
class ComputedCondition:
    """One condition, without its times."""

    type: ConditionType
    reason: str
    message: str

    @property
    def status(self) -> ConditionStatus:
        """The status that the reason belongs to."""
        return reasons.find(self.type, self.reason).status


def compute_conditions(inputs: ConditionInputs) -> Iterator[ComputedCondition]:
    """Yield the conditions of a deployment whose spec is valid."""
    progress = compute_progress(inputs)
    yield _ready(inputs)
    yield _reconciling(progress)
    yield _stalled(progress)
    yield ComputedCondition("Progressing", progress.reason, progress.message)
    yield _degraded(inputs, progress)
    yield _accepted(inputs)
    if inputs.deployment.spec.router.enabled:
        yield _router_ready(inputs)
    if inputs.deployment.spec.batches is not None:
        yield _batches_ready(inputs)
    if exposure.is_requested(inputs):
        yield _exposed(inputs)
    if inputs.decision.cache != "NotConfigured":
        yield _model_cached(inputs)
    yield _scaling_active(inputs)
    if inputs.deployment.spec.scaling.mode == "Internal":
        yield _scaling_limited(inputs)


def conditions_of_invalid_spec(errors: Sequence[str]) -> Iterator[ComputedCondition]:
    """Yield the conditions of a deployment whose spec is invalid."""
    progress = Progress("Stalled", "InvalidSpec", "; ".join(errors))
    yield ComputedCondition("Ready", "InvalidSpec", progress.message)
    yield _reconciling(progress)
    yield _stalled(progress)
    yield ComputedCondition("Accepted", "InvalidSpec", progress.message)


def conditions_of_unobserved(unavailable: Mapping[str, str]) -> Iterator[ComputedCondition]:
    """Yield the conditions of a deployment whose server pods or revisions cannot be observed."""
    message = "; ".join(
        f"{kind} objects cannot be read: {why}" for kind, why in unavailable.items()
    )
    progress = Progress("Stalled", "KindUnavailable", message)
    yield ComputedCondition("Ready", "Unobserved", message)
    yield _reconciling(progress)
    yield _stalled(progress)
    yield ComputedCondition("Progressing", progress.reason, message)
    yield ComputedCondition("Accepted", "KindUnavailable", message)


def _ready(inputs: ConditionInputs) -> ComputedCondition:
    num, num_ready = inputs.decision.desired.num, inputs.num_ready
    message = f"{min(num_ready, num)} of {num} server pods are ready"
    if inputs.deployment.spec.suspend:
        return ComputedCondition("Ready", "Suspended", "spec.suspend is true")
    if not exposure.owns_url(inputs) and (not_accepted := _not_accepted(inputs)) is not None:
        return not_accepted
    if inputs.lacks_routers:
        return _no_router(inputs)
    if num == 0:
        return ComputedCondition("Ready", "ScaledToZero", "scaled to 0 replicas")
    if num_ready:
        reason = "AllReady" if num_ready >= num else "PartiallyReady"
        return ComputedCondition("Ready", reason, message)
    return _not_ready(inputs, message)


def _no_router(inputs: ConditionInputs) -> ComputedCondition:
    failing = inputs.failures_of("router")
    message = _with_failures("no router pod is ready", failing)
    no_router = ComputedCondition("Ready", "RouterNotReady", message)
    return no_router if failing else _not_accepted(inputs) or no_router


def _not_ready(inputs: ConditionInputs, message: str) -> ComputedCondition:
    if inputs.decision.cache in ("Preloading", "PreloadFailed"):
        message = "the model is not preloaded; see condition ModelCached"
        message = _with_failures(message, inputs.failures_of("preload"))
        return ComputedCondition("Ready", inputs.decision.cache, message)
    not_accepted = _not_accepted(inputs)
    if not_accepted is not None:
        return not_accepted
    failing = inputs.failures_of("server")
    if failing:
        return ComputedCondition("Ready", failing[0].reason, _with_failures(message, failing))
    reason = "ReadinessLost" if inputs.has_lost_readiness else "Loading"
    return ComputedCondition("Ready", reason, message)


def _not_accepted(inputs: ConditionInputs) -> ComputedCondition | None:
    if inputs.rejection is None:
        return None
    return ComputedCondition("Ready", inputs.rejection.reason, inputs.rejection.message)


def _reconciling(progress: Progress) -> ComputedCondition:
    if progress.state == "Stalled":
        return ComputedCondition("Reconciling", "Stalled", "see condition Stalled")
    return ComputedCondition("Reconciling", progress.reason, progress.message)


def _stalled(progress: Progress) -> ComputedCondition:
    if progress.state == "Stalled":
        return ComputedCondition("Stalled", progress.reason, progress.message)
    message = "nothing keeps the operator from reaching the spec"
    return ComputedCondition("Stalled", "AsExpected", message)


def _degraded(inputs: ConditionInputs, progress: Progress) -> ComputedCondition:
    if inputs.failures:
        message = "; ".join(map(_failure_message, inputs.failures))
        return ComputedCondition("Degraded", inputs.failures[0].reason, message)
    lacks_servers = inputs.num_ready < inputs.decision.desired.num
    is_short = lacks_servers or inputs.lacks_routers or inputs.lacks_batches
    shortage = _shortage(inputs, progress) if is_short else None
    return shortage or ComputedCondition("Degraded", "AsExpected", "nothing is failing")


def _shortage(inputs: ConditionInputs, progress: Progress) -> ComputedCondition | None:
    """Return why capacity is missing although no pod fails; None while it is only starting."""
    if inputs.rejection is not None:
        return ComputedCondition("Degraded", inputs.rejection.reason, inputs.rejection.message)
    if progress.state == "Stalled":
        return ComputedCondition("Degraded", progress.reason, progress.message)
    if inputs.has_lost_readiness:
        num = sum(pod.has_lost_readiness for pod in inputs.active_pods)
        message = f"{num} server pods are no longer ready; check their logs"
        return ComputedCondition("Degraded", "ReadinessLost", message)
    if inputs.lacks_routers and inputs.router is not None and inputs.router.has_been_available:
        return ComputedCondition("Degraded", "RouterNotReady", "no router pod is ready any more")
    if inputs.lacks_batches and inputs.batches is not None and inputs.batches.has_been_available:
        message = "no pod of batches is ready any more"
        return ComputedCondition("Degraded", "BatchesNotReady", message)
    return None


def _with_failures(message: str, failing: Sequence[FailureCount]) -> str:
    return "; ".join([message, *map(_failure_message, failing)])


def _failure_message(failure: FailureCount) -> str:
    pods = f"{failure.count} {failure.component} pod(s)"
    return f"{failure.reason} ({pods}): {failure.message}"


def _scaling_active(inputs: ConditionInputs) -> ComputedCondition:
    if inputs.deployment.spec.suspend:
        return ComputedCondition("ScalingActive", "Suspended", "spec.suspend is true")
    if inputs.deployment.spec.scaling.mode == "External":
        message = "the number of replicas is set in spec.replicas"
        return ComputedCondition("ScalingActive", "External", message)
    reported = inputs.decision.desired.reported
    is_lost = reported is None or reported.reason == "SignalLost"
    if is_lost and inputs.lacks_routers:
        message = "no router pod is ready to report the demand"
        return ComputedCondition("ScalingActive", "RouterNotReady", message)
    if is_lost:
        message = "no load report received from any router"
        return ComputedCondition("ScalingActive", "SignalLost", message)
    message = "scaling on demand reported by the routers"
    return ComputedCondition("ScalingActive", "Internal", message)


def _accepted(inputs: ConditionInputs) -> ComputedCondition:
    if inputs.rejection is not None:
        return ComputedCondition("Accepted", inputs.rejection.reason, inputs.rejection.message)
    message = "all objects were accepted by the API server"
    blocked = [*blocked_evictions(inputs.deployment.spec, inputs.decision.desired.num)]
    reason = "EvictionsBlocked" if blocked else "Accepted"
    return ComputedCondition("Accepted", reason, "; ".join([message, *blocked]))


def _router_ready(inputs: ConditionInputs) -> ComputedCondition:
    failing = inputs.failures_of("router")
    if inputs.lacks_routers:
        reason = failing[0].reason if failing else "NotReady"
        message = _with_failures("no router pod is ready", failing)
        return ComputedCondition("RouterReady", reason, message)
    message = _with_failures("at least one router pod is ready", failing)
    return ComputedCondition("RouterReady", "Ready", message)


def _batches_ready(inputs: ConditionInputs) -> ComputedCondition:
    failing = inputs.failures_of("batches")
    if inputs.lacks_batches:
        reason = failing[0].reason if failing else "BatchesNotReady"
        message = _with_failures("no pod of batches is ready", failing)
        return ComputedCondition("BatchesReady", reason, message)
    message = _with_failures("at least one pod of batches is ready", failing)
    return ComputedCondition("BatchesReady", "BatchesReady", message)


def _exposed(inputs: ConditionInputs) -> ComputedCondition:
    obstacles = exposure.obstacles(inputs)
    if obstacles:
        message = "; ".join(one.message for one in obstacles)
        return ComputedCondition("Exposed", obstacles[0].reason, message)
    message = "all addresses that the spec asks for lead to the fleet"
    return ComputedCondition("Exposed", "Reachable", message)


def _model_cached(inputs: ConditionInputs) -> ComputedCondition:
    cache, failing = inputs.decision.cache, inputs.failures_of("preload")
    if cache == "Ready":
        message = "the model files are in the cache volume"
        return ComputedCondition("ModelCached", "Preloaded", message)
    if not failing:
        return ComputedCondition("ModelCached", cache, PRELOAD_STATES[cache])
    message = f"{_with_failures(PRELOAD_STATES[cache], failing)}: {failing[0].hint}"
    return ComputedCondition("ModelCached", failing[0].reason, message)


def _scaling_limited(inputs: ConditionInputs) -> ComputedCondition:
    desired, scaling = inputs.decision.desired, inputs.deployment.spec.scaling
    reported = desired.reported
    is_at_max = desired.num >= scaling.max_replicas
    if reported is not None and (
        reported.bound == "Max" or (reported.bound == "Schedule" and is_at_max)
    ):
        message = f"{reported.message}, limited to {desired.num}"
        return ComputedCondition("ScalingLimited", "TooManyReplicas", message)
    message = "desired replicas are within bounds"
    return ComputedCondition("ScalingLimited", "DesiredWithinRange", message)
