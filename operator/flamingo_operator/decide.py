"""Spec, what was seen and the time → what to do now, and when to look again.

Level-triggered: it knows what is, never what changed. What it has done before it
reads from the objects themselves, so a killed operator's successor goes on where
it stopped.

Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster.actions import (
    Action,
    Apply,
    Delete,
    Drain,
    ExtendDrain,
    Repair,
    Undrain,
)
from flamingo_operator.cluster.observed import AvoidedNode, Observed, OwnedObject, Pod
from flamingo_operator.cluster.projection import digest_of_manifest
from flamingo_operator.manifests import owned_objects, pod_template, preload, revisions
from flamingo_operator.manifests.common import Manifest, Release, owner_reference
from flamingo_operator.manifests.revisions import RevisionInputs
from flamingo_operator.rollout import drain, node_avoidance, rollout
from flamingo_operator.rollout.node_avoidance import Avoidance
from flamingo_operator.rollout.rollout import Step, Wanted
from flamingo_operator.rollout.target_revision import Goal, choose
from flamingo_operator.scaling.replicas import Desired

APPLIED_ONCE = frozenset({"Job"})
"""Kinds whose objects cannot be changed."""
KEPT = frozenset({"PersistentVolumeClaim"})
"""Kinds that hold what cannot be made again: never deleted but by their owner's deletion."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and why."""

    actions: tuple[Action, ...]
    wake_s: float | None
    """Look again then, though nothing happens."""
    desired: Desired
    goal: Goal | None
    step: Step
    cache: str = "NotConfigured"
    """Ready, Preloading or PreloadFailed, when the model is fetched first."""
    conflicts: tuple[str, ...] = ()
    """Names of ours that belong to somebody else."""
    avoided: tuple[AvoidedNode, ...] = ()
    """Nodes that get no more servers."""
    takes_over: bool = False
    """Something that nobody owns becomes ours."""
    asks: tuple[Pod, ...] = ()
    """Pods whose load should be known before this is done."""


def decide(
    deployment: FlamingoDeployment,
    observed: Observed,
    release: Release,
    desired: Desired,
    now_s: float,
) -> Decision:
    """Return what to do now."""
    goal = choose(deployment.spec, observed, pod_template.revision_hash(deployment.spec))
    manifests = owned_objects.build_manifests(
        deployment, release, has_pod_monitors=observed.has_pod_monitors
    )
    cache = _cache_state(deployment, observed)
    avoided = node_avoidance.avoidance(deployment, observed, now_s)
    step, pods, wakes = _pods(deployment, observed, goal, desired, (cache, avoided, now_s))
    kept = revisions.actions(RevisionInputs(deployment, observed, release, now_s), goal, step)
    wakes += [desired.wake_s, kept.wake_s, avoided.wake_s]
    return Decision(
        actions=(
            *_applied(deployment, observed, manifests),
            *kept.actions,
            *pods,
            *_obsolete(deployment, observed, manifests),
        ),
        wake_s=min((wake for wake in wakes if wake is not None), default=None),
        desired=desired,
        goal=goal,
        step=step,
        cache=cache,
        conflicts=tuple(sorted(_taken(deployment, observed, manifests))),
        avoided=avoided.nodes,
        takes_over=_takes_over(deployment, observed),
        asks=_asks(observed, pods),
    )


def _cache_state(deployment: FlamingoDeployment, observed: Observed) -> str:
    if not deployment.spec.cache.preload:
        return "NotConfigured"
    job = observed.owned.get(("Job", preload.job_name(deployment)))
    if job is not None and job.is_failed:
        return "PreloadFailed"
    return "Ready" if job is not None and job.is_complete else "Preloading"


def _key(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _applied(
    deployment: FlamingoDeployment, observed: Observed, manifests: Iterable[Manifest]
) -> Iterable[Apply]:
    for manifest in manifests:
        child = observed.owned.get(_key(manifest))
        if child is None:
            yield Apply(manifest, is_new=True)
        elif _is_ours(deployment, child) and _has_drifted(child, manifest):
            yield Apply(manifest, is_new=False)


def _takes_over(deployment: FlamingoDeployment, observed: Observed) -> bool:
    made = (one for one in observed.owned.values() if one.ref.kind not in KEPT)
    refs = [one.ref for one in made if _is_ours(deployment, one)]
    refs += [one.ref for one in observed.pods]
    refs += [one.ref for one in observed.revisions]
    return any(not ref.owner_uid for ref in refs)


def _has_drifted(child: OwnedObject, manifest: Manifest) -> bool:
    if child.is_terminating or manifest["kind"] in APPLIED_ONCE:
        return False
    return digest_of_manifest(manifest) not in (child.digest, child.applied)


def _is_ours(deployment: FlamingoDeployment, child: OwnedObject) -> bool:
    """Whether we own it; what nobody owns is ours if we made it: `--cascade=orphan` leaves such."""
    is_left = not child.ref.owner_uid and (child.ref.kind in KEPT or bool(child.digest))
    return is_left or child.ref.owner_uid == deployment.metadata.uid


def _taken(
    deployment: FlamingoDeployment, observed: Observed, manifests: Iterable[Manifest]
) -> Iterable[str]:
    for kind, name in map(_key, manifests):
        child = observed.owned.get((kind, name))
        if child is not None and not _is_ours(deployment, child):
            yield f"{kind} {name}"


def _obsolete(
    deployment: FlamingoDeployment, observed: Observed, manifests: Iterable[Manifest]
) -> Iterable[Delete]:
    wanted = {_key(manifest) for manifest in manifests}
    for key, child in sorted(observed.owned.items()):
        is_spare = key not in wanted and not child.is_terminating and child.ref.kind not in KEPT
        if is_spare and _is_ours(deployment, child):
            yield Delete(child.ref, "the spec wants it no more")


def _pods(
    deployment: FlamingoDeployment,
    observed: Observed,
    goal: Goal | None,
    desired: Desired,
    seen: tuple[str, Avoidance, float],
) -> tuple[Step, list[Action], list[float | None]]:
    cache, avoided, now_s = seen
    if goal is None:
        return Step(), [], []
    step = rollout.step(deployment.spec, observed, Wanted(desired.num, goal.target.hash), now_s)
    num_new = step.num_new if cache in ("Ready", "NotConfigured") else 0
    ordinals = rollout.next_ordinals(observed, goal.target.hash, num_new)
    names = node_avoidance.names_of(avoided.nodes)
    made = [
        Apply(pod_template.build_pod(deployment, goal.target, one, names), is_new=True)
        for one in ordinals
    ]
    held, holds = _drained(deployment, observed, step, now_s)
    left = [_left(deployment, observed, pod, now_s) for pod in step.leave]
    failed = [
        Delete(pod.ref, "it failed") for pod in observed.pods if rollout.is_old_news(pod, now_s)
    ]
    wakes = [step.wake_s, rollout.replace_failed_s(observed, now_s), *holds]
    back = [Undrain(pod) for pod in step.undrain]
    moved: list[Undrain | Drain | ExtendDrain | Delete] = [*back, *left, *held, *failed]
    moved += _moved(avoided, step)
    return step, [*moved, *made, *_mended(deployment, observed, moved)], wakes


def _moved(avoided: Avoidance, step: Step) -> list[Delete]:
    """Return who leaves because of its node; none of them serves, and the next pass replaces it."""
    why = [(pod, f"the GPU of its node {pod.node} fails") for pod in avoided.faulty]
    why += [(pod, "the nodes that are avoided are others now") for pod in avoided.misplaced]
    return [Delete(pod.ref, told) for pod, told in why if pod not in step.leave]


def _mended(
    deployment: FlamingoDeployment,
    observed: Observed,
    moved: Iterable[Undrain | Drain | ExtendDrain | Delete],
) -> Iterable[Repair]:
    """Yield what ties pods to us again that somebody untied; who leaves is not held."""
    names = {
        action.ref.name if isinstance(action, Delete) else action.pod.ref.name for action in moved
    }
    for pod in observed.pods:
        is_untied = not pod.ref.owner_uid or pod.is_serving == pod.is_draining
        if is_untied and not (pod.is_terminating or pod.is_finished or pod.ref.name in names):
            yield Repair(pod, owner_reference(deployment))


def _left(
    deployment: FlamingoDeployment, observed: Observed, pod: Pod, now_s: float
) -> Drain | Delete:
    if not pod.is_ready:
        return Delete(pod.ref, "it is not wanted, and serves nobody")
    load = observed.loads.get(pod.ref.name)
    return Drain(pod, now_s, drain.deadline_s(load, deployment.spec.drain, now_s))


def _drained(
    deployment: FlamingoDeployment, observed: Observed, step: Step, now_s: float
) -> tuple[list[ExtendDrain | Delete], list[float | None]]:
    done: list[ExtendDrain | Delete] = []
    holds: list[float | None] = []
    for pod in observed.pods:
        if not pod.is_draining or pod in step.undrain:
            continue
        load = observed.loads.get(pod.ref.name)
        match drain.verdict(pod, load, deployment.spec.drain, now_s):
            case drain.Hold(until_s):
                holds.append(until_s)
            case drain.Extend(until_s):
                done.append(ExtendDrain(pod, until_s))
            case drain.Leave(why, grace_s):
                done.append(Delete(pod.ref, why, grace_s))
    return done, holds


def _asks(observed: Observed, pods: Iterable[Action]) -> tuple[Pod, ...]:
    draining = [pod for pod in observed.pods if pod.is_draining and pod.is_ready]
    if not any(isinstance(action, Drain) for action in pods):
        return tuple(draining)
    return tuple(draining + [pod for pod in observed.pods if pod.is_active and pod.is_ready])
