"""What is claimed of a deployment, and why: each condition is one function of what was seen.

A message holds nothing that differs from one look to the next, because a status
is written only when it changes.

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


@dataclass(frozen=True, slots=True)
class Claim:
    """One condition, without its times."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str

    @property
    def is_good(self) -> bool:
        """Whether nobody need look."""
        return (self.status == "True") != (self.type in GOOD_WHEN_FALSE)


@dataclass(frozen=True, slots=True)
class Sight:
    """All that the claims are about."""

    deployment: FlamingoDeployment
    observed: Observed
    decision: Decision
    failures: Sequence[FailureCount]
    refusals: Sequence[str]
    """What the API server would not take."""

    @property
    def alive(self) -> list[Pod]:
        """Servers that serve or will."""
        return [pod for pod in self.observed.pods if pod.is_active]

    @property
    def num_ready(self) -> int:
        """Servers that answer."""
        return sum(pod.is_ready for pod in self.alive)


def claims(sight: Sight) -> Iterator[Claim]:
    """Yield the conditions of a deployment whose spec could be read."""
    yield _ready(sight)
    yield _progressing(sight)
    yield _degraded(sight)
    yield _scaling_active(sight)
    yield _spec_valid(sight)
    if sight.deployment.spec.router.enabled:
        yield _router_ready(sight)
    if sight.decision.cache != "NotConfigured":
        yield _model_cached(sight)
    if sight.deployment.spec.scaling.mode == "Internal":
        yield _scaling_limited(sight)


def unreadable(faults: Sequence[str]) -> Iterator[Claim]:
    """Yield the conditions of a deployment whose spec says nothing that can be done."""
    message = "; ".join(faults)
    yield Claim("Ready", "Unknown", "InvalidSpec", message)
    yield Claim("SpecValid", "False", "InvalidSpec", message)


def _ready(sight: Sight) -> Claim:
    num, num_ready = sight.decision.desired.num, sight.num_ready
    told = f"{num_ready} of {num} servers are ready"
    if sight.deployment.spec.suspend:
        return Claim("Ready", "False", "Suspended", "spec.suspend is set")
    if sight.deployment.spec.router.enabled and not _num_routers(sight):
        return _refused(sight) or Claim("Ready", "False", "RouterNotReady", "no router is ready")
    if num == 0:
        return Claim("Ready", "True", "ScaledToZero", "no server is wanted")
    if num_ready >= num:
        return Claim("Ready", "True", "AllReady", f"all {num} servers are ready")
    if num_ready:
        return Claim("Ready", "True", "MinimumReady", told)
    return _not_ready(sight, told)


def _not_ready(sight: Sight, told: str) -> Claim:
    refused = _refused(sight)
    if refused is not None:
        return refused
    if sight.failures:
        first = sight.failures[0]
        return Claim("Ready", "False", first.reason, f"{told}; {_told(first)}")
    if sight.decision.cache in ("Preloading", "PreloadFailed"):
        return Claim("Ready", "False", sight.decision.cache, "see the condition ModelCached")
    return Claim("Ready", "False", "Loading", told)


def _refused(sight: Sight) -> Claim | None:
    if sight.refusals or sight.decision.conflicts:
        return Claim("Ready", "False", "SpecRejected", "see the condition SpecValid")
    return None


def _told(failure: FailureCount) -> str:
    return f"{failure.count} {failure.reason}: {failure.message}"


def _progressing(sight: Sight) -> Claim:
    goal, spec = sight.decision.goal, sight.deployment.spec
    if goal is None:
        return Claim(
            "Progressing", "True", "RolloutInProgress", "pods of a new revision are being made"
        )
    update, target = goal.update.hash, goal.target.hash
    if goal.is_rolled_back and not spec.rollout.paused:
        told = f"revision {update} did not become ready in time; the servers are of {target} again"
        return Claim("Progressing", "False", "RolledBack", told)
    if goal.update.failed_s is not None:
        told = f"revision {update} did not become ready in time"
        return Claim("Progressing", "False", "DeadlineExceeded", told)
    old = [pod for pod in sight.alive if pod.revision != update]
    is_settled = revisions.is_complete(goal.update)
    if spec.rollout.paused and (old or not is_settled):
        return Claim("Progressing", "False", "Paused", "spec.rollout.paused is set")
    if old or not (is_settled or sight.decision.desired.num == 0):
        return Claim("Progressing", "True", "RolloutInProgress", f"revision {update} is coming")
    return _sizing(sight)


def _sizing(sight: Sight) -> Claim:
    num = sight.decision.desired.num
    if len(sight.alive) < num or sight.num_ready < num:
        return Claim("Progressing", "True", "ScalingUp", f"up to {num} servers")
    if any(pod.is_draining or pod.is_terminating for pod in sight.observed.pods):
        return Claim("Progressing", "True", "Draining", f"down to {num} servers")
    return Claim("Progressing", "True", "Complete", "every server is what the spec says")


def _degraded(sight: Sight) -> Claim:
    if not sight.failures:
        return Claim("Degraded", "False", "AsExpected", "no server fails")
    told = "; ".join(_told(failure) for failure in sight.failures)
    return Claim("Degraded", "True", sight.failures[0].reason, told)


def _scaling_active(sight: Sight) -> Claim:
    if sight.deployment.spec.suspend:
        return Claim("ScalingActive", "False", "Suspended", "spec.suspend is set")
    if sight.deployment.spec.scaling.mode == "External":
        return Claim("ScalingActive", "True", "External", "spec.replicas is what is wanted")
    told = sight.decision.desired.told
    if told is None or told.reason == "SignalLost":
        return Claim("ScalingActive", "False", "SignalLost", "no router was heard")
    return Claim("ScalingActive", "True", "Internal", "the routers tell the demand")


def _spec_valid(sight: Sight) -> Claim:
    if sight.decision.conflicts:
        told = ", ".join(sight.decision.conflicts)
        return Claim("SpecValid", "False", "NameTaken", f"belongs to somebody else: {told}")
    if sight.refusals:
        return Claim("SpecValid", "False", "Rejected", "; ".join(sight.refusals))
    return Claim("SpecValid", "True", "Valid", "the API server takes all that it asks for")


def _num_routers(sight: Sight) -> int:
    name = names.router(sight.deployment.metadata.name)
    router = sight.observed.owned.get(("Deployment", name))
    return router.num_ready if router is not None else 0


def _router_ready(sight: Sight) -> Claim:
    if not _num_routers(sight):
        return Claim("RouterReady", "False", "NotReady", "no router is ready")
    return Claim("RouterReady", "True", "Ready", "a router answers")


def _model_cached(sight: Sight) -> Claim:
    match sight.decision.cache:
        case "Ready":
            return Claim("ModelCached", "True", "Ready", "the claim holds the model")
        case "PreloadFailed":
            told = "the preload Job failed; see its pods, then delete it to try again"
            return Claim("ModelCached", "False", "PreloadFailed", told)
        case _:
            return Claim("ModelCached", "False", "Preloading", "the preload Job runs")


def _scaling_limited(sight: Sight) -> Claim:
    told, scaling = sight.decision.desired.told, sight.deployment.spec.scaling
    is_most = sight.decision.desired.num >= scaling.max_replicas
    if told is not None and (told.bound == "Max" or (told.bound == "Schedule" and is_most)):
        message = f"{told.message}, and there may be {sight.decision.desired.num}"
        return Claim("ScalingLimited", "True", "AtMax", message)
    return Claim("ScalingLimited", "False", "WithinBounds", "the bounds keep no server away")
