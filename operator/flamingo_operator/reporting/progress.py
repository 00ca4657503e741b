"""How far the fleet is from what the spec says: working on it, complete, paused or stalled.

The conditions Progressing, Reconciling and Stalled are views of one `Progress`, so they never
contradict each other. kstatus, and with it Helm and Flux, reads the last two.

Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from flamingo_operator.api import names
from flamingo_operator.cluster.observed import OwnedObject
from flamingo_operator.manifests import revisions
from flamingo_operator.reporting.condition_inputs import ConditionInputs

ProgressState: TypeAlias = Literal["Reconciling", "Complete", "Paused", "Stalled"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the fleet is from what the spec says."""

    state: ProgressState
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class _Workload:
    """A Deployment that the spec requires, and the reasons for its states."""

    name: str
    found: OwnedObject | None
    in_progress: str
    missed_deadline: str


def _workloads(inputs: ConditionInputs) -> Iterator[_Workload]:
    name, spec = inputs.deployment.metadata.name, inputs.deployment.spec
    if spec.router.enabled:
        yield _Workload(
            names.router(name),
            inputs.router,
            "RouterRolloutInProgress",
            "RouterProgressDeadlineExceeded",
        )
    if spec.batches is not None:
        yield _Workload(
            names.batches(name),
            inputs.batches,
            "BatchesRolloutInProgress",
            "BatchesProgressDeadlineExceeded",
        )


def compute_progress(inputs: ConditionInputs) -> Progress:
    """Return how far the fleet is from what the spec says."""
    complete = Progress("Complete", "Complete", _complete_message(inputs))
    found = _stalled(inputs) or _held(inputs) or _reconciling(inputs) or _incidental(inputs)
    # A paused rollout lets everything else go on, such as scaling.
    return found or _paused_rollout(inputs) or complete


def _complete_message(inputs: ConditionInputs) -> str:
    text, num = "all pods match the spec and are ready", inputs.decision.outdated.num_servers
    if not num:
        return text
    restart = f"kubectl flamingo restart {inputs.deployment.metadata.name}"
    return f"{text}; {num} run the default image of another release, {restart} replaces them"


def _stalled(inputs: ConditionInputs) -> Progress | None:
    """Return why the spec is not reached without a change, if that is so."""
    failed = _failed_rollout(inputs)
    if failed is not None:
        return failed
    rejection = inputs.rejection
    if rejection is not None and not (rejection.is_transient or rejection.is_incidental):
        return Progress("Stalled", rejection.reason, rejection.message)
    if inputs.decision.cache == "PreloadFailed":
        message = f"the preload Job failed{_preload_failure(inputs)}; delete the Job to retry"
        return Progress("Stalled", "PreloadFailed", message)
    late = (one for one in _workloads(inputs) if one.found and one.found.has_missed_deadline)
    for one in late:
        message = (
            f"Deployment {one.name} made no progress within its progressDeadlineSeconds; check its"
            " pods"
        )
        return Progress("Stalled", one.missed_deadline, message)
    return None


def _incidental(inputs: ConditionInputs) -> Progress | None:
    rejection = inputs.rejection
    if rejection is None or not rejection.is_incidental:
        return None
    return Progress("Stalled", rejection.reason, rejection.message)


def _failed_rollout(inputs: ConditionInputs) -> Progress | None:
    target = inputs.decision.target
    if target is None or target.update.failed_s is None:
        return None
    update = target.update.hash
    missed = f"revision {update} did not become ready within spec.rollout.progressDeadlineSeconds"
    missed += f": {target.update.failed_by}" if target.update.failed_by else ""
    if target.is_rolled_back and not inputs.deployment.spec.rollout.paused:
        message = f"{missed}; rolled back to revision {target.revision.hash}"
        return Progress("Stalled", "RolledBack", message)
    return Progress("Stalled", "ProgressDeadlineExceeded", missed)


def _held(inputs: ConditionInputs) -> Progress | None:
    if not inputs.is_held:
        return None
    return Progress("Paused", "Paused", "spec.paused is true; status.plan is what would be done")


def _paused_rollout(inputs: ConditionInputs) -> Progress | None:
    target = inputs.decision.target
    if target is None or not inputs.deployment.spec.rollout.paused:
        return None
    if _is_outdated(inputs) or not revisions.is_complete(target.update):
        return Progress("Paused", "Paused", "spec.rollout.paused is true")
    return None


def _is_outdated(inputs: ConditionInputs) -> bool:
    target = inputs.decision.target
    return target is not None and any(
        pod.revision != target.update.hash for pod in inputs.active_pods
    )


def _reconciling(inputs: ConditionInputs) -> Progress | None:
    if inputs.decision.cache == "Preloading":
        message = f"the preload Job has not completed{_preload_failure(inputs)}"
        return Progress("Reconciling", "Preloading", message)
    rollout = None if _paused_rollout(inputs) else _rollout(inputs)
    return rollout or _scaling(inputs) or _objects(inputs)


def _preload_failure(inputs: ConditionInputs) -> str:
    return "".join(f"; {one.reason}: {one.message}" for one in inputs.failures_of("preload"))


def _rollout(inputs: ConditionInputs) -> Progress | None:
    target = inputs.decision.target
    if target is None:
        return Progress("Reconciling", "RolloutInProgress", "creating a new revision")
    is_complete = revisions.is_complete(target.update) or inputs.decision.desired.num == 0
    if is_complete and not _is_outdated(inputs):
        return None
    message = f"rolling out revision {target.update.hash}{_blockage(inputs) or _lack(inputs)}"
    return Progress("Reconciling", "RolloutInProgress", message)


def _blockage(inputs: ConditionInputs) -> str:
    """Return why there is no room for an additional server pod, and what happens then."""
    step, strategy = inputs.decision.step, inputs.deployment.spec.rollout.strategy
    if step.blockage is None:
        return ""
    then = ""
    if step.can_make_room and strategy == "Auto":
        then = "; an old server pod is drained first"
    elif step.can_make_room:
        then = (
            "; set spec.rollout.strategy to Auto, or maxUnavailable to 1, to drain an old one first"
        )
    return f"; no additional server pod can come: {step.blockage.message}{then}"


def _scaling(inputs: ConditionInputs) -> Progress | None:
    num, num_active = inputs.decision.desired.num, len(inputs.active_pods)
    if inputs.num_ready < num and inputs.has_lost_readiness:
        message = f"waiting until {num} server pods are ready again"
        return Progress("Reconciling", "Recovering", message)
    if num_active < num or inputs.num_ready < num:
        message = f"scaling up to {num} replicas{_lack(inputs)}"
        return Progress("Reconciling", "ScalingUp", message)
    if inputs.cordoned_nodes:
        nodes = ", ".join(inputs.cordoned_nodes)
        message = f"replacing the server pods on cordoned nodes: {nodes}{_blockage(inputs)}"
        return Progress("Reconciling", "LeavingNodes", message)
    is_draining = any(pod.is_draining or pod.is_terminating for pod in inputs.observed.pods)
    if is_draining or num_active > num:
        message = f"draining pods, down to {num} replicas"
        return Progress("Reconciling", "Draining", message)
    return None


def _lack(inputs: ConditionInputs) -> str:
    """Return why server pods could not be created."""
    uncreated = (one for one in inputs.failures_of("server") if not one.sample_pod)
    return "".join(f"; {one.reason}: {one.message}" for one in uncreated)


def _objects(inputs: ConditionInputs) -> Progress | None:
    """Return what is under way with other objects than server pods."""
    rejection, decision = inputs.rejection, inputs.decision
    if rejection is not None and not rejection.is_incidental:
        return Progress("Reconciling", rejection.reason, rejection.message)
    if decision.leftovers:
        message = f"waiting for the deletion of {', '.join(decision.leftovers)}"
        return Progress("Reconciling", "AwaitingDeletion", message)
    for one in _workloads(inputs):
        if one.found is None or not one.found.is_rolled_out:
            message = f"Deployment {one.name} is rolling out"
            return Progress("Reconciling", one.in_progress, message)
    # Otherwise a repair of what others changed, which is over when the status is written.
    if inputs.is_new_spec and decision.actions:
        return Progress("Reconciling", "ApplyingSpec", "applying the spec")
    return None
