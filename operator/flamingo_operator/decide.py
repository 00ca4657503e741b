"""Decides what to do about one deployment: create, remove and repair objects, revert drift.

How it works. `decide` is level-triggered: it compares the observed with the desired state and
does not depend on what changed, so a missed event or a second call does no harm. It plans, in
this order:

1. the owned objects (Services, router Deployment, policies, ...), applied where they are
   missing or differ from their manifests, and deleted when the spec no longer requires them;
   objects of the same name that another owner controls are left alone and reported;
2. the ControllerRevisions, whose annotations are the rollout's memory (`revisions`);
3. the server pods: `rollout` determines how many to create and which to remove, `drain` how long
   a removed pod is kept, `node_avoidance` which nodes to keep away from.

All earlier decisions are read from the objects themselves, so the operator may be killed at
any point and its successor continues there. `requeue_at_s` is when time alone will change
the decision.

Pure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

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
from flamingo_operator.rollout.node_avoidance import NodeAvoidance
from flamingo_operator.rollout.rollout import DesiredPods, RolloutStep
from flamingo_operator.rollout.target_revision import RolloutTarget, choose_target
from flamingo_operator.scaling.replicas import DesiredReplicas

IMMUTABLE_KINDS = frozenset({"Job"})
RETAINED_KINDS = frozenset({"PersistentVolumeClaim"})
"""Kinds that hold data: only the garbage collector deletes them, with their owner."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and why."""

    actions: tuple[Action, ...]
    requeue_at_s: float | None
    """When to reconcile again even if nothing changes."""
    desired: DesiredReplicas
    target: RolloutTarget | None
    step: RolloutStep
    cache: str = "NotConfigured"
    """Ready, Preloading or PreloadFailed, when the model is preloaded."""
    conflicts: tuple[str, ...] = ()
    """Objects that have our names and another controller."""
    avoided_nodes: tuple[AvoidedNode, ...] = ()
    """Nodes that get no more server pods."""
    adopts: bool = False
    """Some action makes us the owner of an object that has none."""
    pods_to_query: tuple[Pod, ...] = ()
    """Pods whose load should be known before the actions are done."""


@dataclass(frozen=True, slots=True)
class _PodInputs:
    """All that the actions on server pods depend on."""

    deployment: FlamingoDeployment
    observed: Observed
    target: RolloutTarget
    desired: DesiredReplicas
    cache: str
    avoidance: NodeAvoidance
    now_s: float


@dataclass(frozen=True, slots=True)
class _PodActions:
    step: RolloutStep = field(default_factory=RolloutStep)
    actions: tuple[Action, ...] = ()
    requeues_at_s: tuple[float | None, ...] = ()


def decide(
    deployment: FlamingoDeployment,
    observed: Observed,
    release: Release,
    desired: DesiredReplicas,
    now_s: float,
) -> Decision:
    """Return what to do now."""
    target = choose_target(deployment.spec, observed, pod_template.revision_hash(deployment.spec))
    manifests = owned_objects.build_manifests(
        deployment, release, has_pod_monitors=observed.has_pod_monitors
    )
    cache = _cache_state(deployment, observed)
    avoidance = node_avoidance.current_avoidance(deployment, observed, now_s)
    pods = _PodActions()
    if target is not None:
        pods = _pod_actions(
            _PodInputs(deployment, observed, target, desired, cache, avoidance, now_s)
        )
    kept = revisions.actions(
        RevisionInputs(deployment, observed, release, now_s), target, pods.step
    )
    requeues_at_s = (
        *pods.requeues_at_s,
        desired.requeue_at_s,
        kept.requeue_at_s,
        avoidance.requeue_at_s,
    )
    return Decision(
        actions=(
            *_to_apply(deployment, observed, manifests),
            *kept.actions,
            *pods.actions,
            *_to_delete(deployment, observed, manifests),
        ),
        requeue_at_s=min((at_s for at_s in requeues_at_s if at_s is not None), default=None),
        desired=desired,
        target=target,
        step=pods.step,
        cache=cache,
        conflicts=tuple(sorted(_name_conflicts(deployment, observed, manifests))),
        avoided_nodes=avoidance.nodes,
        adopts=_adopts(deployment, observed),
        pods_to_query=_pods_to_query(observed, pods.actions),
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


def _to_apply(
    deployment: FlamingoDeployment, observed: Observed, manifests: Iterable[Manifest]
) -> Iterator[Apply]:
    for manifest in manifests:
        existing = observed.owned.get(_key(manifest))
        if existing is None:
            yield Apply(manifest, is_new=True)
        elif _is_ours(deployment, existing) and _has_drifted(existing, manifest):
            yield Apply(manifest, is_new=False)


def _adopts(deployment: FlamingoDeployment, observed: Observed) -> bool:
    owned = (one for one in observed.owned.values() if one.ref.kind not in RETAINED_KINDS)
    refs = [one.ref for one in owned if _is_ours(deployment, one)]
    refs += [one.ref for one in observed.pods]
    refs += [one.ref for one in observed.revisions]
    return any(not ref.owner_uid for ref in refs)


def _has_drifted(existing: OwnedObject, manifest: Manifest) -> bool:
    if existing.is_terminating or manifest["kind"] in IMMUTABLE_KINDS:
        return False
    return digest_of_manifest(manifest) not in (existing.digest, existing.applied)


def _is_ours(deployment: FlamingoDeployment, existing: OwnedObject) -> bool:
    """Whether we control the object, or may adopt it.

    An object without an owner is ours if we created it, as after `--cascade=orphan`.
    """
    is_orphan = not existing.ref.owner_uid
    is_adoptable = is_orphan and (existing.ref.kind in RETAINED_KINDS or bool(existing.digest))
    return is_adoptable or existing.ref.owner_uid == deployment.metadata.uid


def _name_conflicts(
    deployment: FlamingoDeployment, observed: Observed, manifests: Iterable[Manifest]
) -> Iterator[str]:
    for kind, name in map(_key, manifests):
        existing = observed.owned.get((kind, name))
        if existing is not None and not _is_ours(deployment, existing):
            yield f"{kind} {name}"


def _to_delete(
    deployment: FlamingoDeployment, observed: Observed, manifests: Iterable[Manifest]
) -> Iterator[Delete]:
    desired = {_key(manifest) for manifest in manifests}
    for key, one in sorted(observed.owned.items()):
        is_kept = key in desired or one.is_terminating or one.ref.kind in RETAINED_KINDS
        if not is_kept and _is_ours(deployment, one):
            yield Delete(one.ref, "not required by the spec")


def _pod_actions(inputs: _PodInputs) -> _PodActions:
    """Return what to do about the server pods: undrain, drain, extend, delete, create, repair."""
    observed, now_s = inputs.observed, inputs.now_s
    spec, revision = inputs.deployment.spec, inputs.target.revision
    step = rollout.next_step(spec, observed, DesiredPods(inputs.desired.num, revision.hash), now_s)
    draining, requeues_at_s = _drain_progress(inputs, step)
    changed: list[Undrain | Drain | ExtendDrain | Delete] = [
        *(Undrain(pod) for pod in step.to_undrain),
        *(_removal(inputs, pod) for pod in step.to_remove),
        *draining,
        *_failed_pods(observed, now_s),
        *_relocations(inputs.avoidance, step),
    ]
    return _PodActions(
        step,
        (*changed, *_new_pods(inputs, step), *_repairs(inputs, changed)),
        (step.requeue_at_s, rollout.next_replacement_s(observed, now_s), *requeues_at_s),
    )


def _new_pods(inputs: _PodInputs, step: RolloutStep) -> Iterator[Apply]:
    revision = inputs.target.revision
    num = step.num_new if inputs.cache in ("Ready", "NotConfigured") else 0
    avoided = node_avoidance.node_names(inputs.avoidance.nodes)
    for ordinal in rollout.next_ordinals(inputs.observed, revision.hash, num):
        pod = pod_template.build_pod(inputs.deployment, revision, ordinal, avoided)
        yield Apply(pod, is_new=True)


def _failed_pods(observed: Observed, now_s: float) -> Iterator[Delete]:
    for pod in observed.pods:
        if rollout.is_replacement_due(pod, now_s):
            yield Delete(pod.ref, "failed")


def _relocations(avoidance: NodeAvoidance, step: RolloutStep) -> Iterator[Delete]:
    """Yield pods that are deleted because of their node.

    None of them serves, and the next reconciliation replaces it.
    """
    reasons = [(pod, f"a GPU of node {pod.node} failed repeatedly") for pod in avoidance.faulty]
    reasons += [(pod, "the list of avoided nodes changed") for pod in avoidance.misplaced]
    for pod, reason in reasons:
        if pod not in step.to_remove:
            yield Delete(pod.ref, reason)


def _repairs(
    inputs: _PodInputs, changed: Iterable[Undrain | Drain | ExtendDrain | Delete]
) -> Iterator[Repair]:
    """Yield pods that lost their owner or their serving label, unless they are being changed."""
    names = {
        action.ref.name if isinstance(action, Delete) else action.pod.ref.name for action in changed
    }
    for pod in inputs.observed.pods:
        is_damaged = not pod.ref.owner_uid or pod.is_serving == pod.is_draining
        if is_damaged and not (pod.is_terminating or pod.is_finished or pod.ref.name in names):
            yield Repair(pod, owner_reference(inputs.deployment))


def _removal(inputs: _PodInputs, pod: Pod) -> Drain | Delete:
    if not pod.is_ready:
        return Delete(pod.ref, "surplus and not ready")
    load, now_s = inputs.observed.loads.get(pod.ref.name), inputs.now_s
    return Drain(pod, now_s, drain.deadline_s(load, inputs.deployment.spec.drain, now_s))


def _drain_progress(
    inputs: _PodInputs, step: RolloutStep
) -> tuple[list[ExtendDrain | Delete], list[float]]:
    """Return what to do about draining pods, and when to look at the others again."""
    actions: list[ExtendDrain | Delete] = []
    requeues_at_s: list[float] = []
    for pod in inputs.observed.pods:
        if not pod.is_draining or pod in step.to_undrain:
            continue
        load = inputs.observed.loads.get(pod.ref.name)
        match drain.next_drain_step(pod, load, inputs.deployment.spec.drain, inputs.now_s):
            case drain.KeepDraining(until_s):
                requeues_at_s.append(until_s)
            case drain.ExtendDeadline(until_s):
                actions.append(ExtendDrain(pod, until_s))
            case drain.DeletePod(why, grace_s):
                actions.append(Delete(pod.ref, why, grace_s))
    return actions, requeues_at_s


def _pods_to_query(observed: Observed, actions: Iterable[Action]) -> tuple[Pod, ...]:
    draining = [pod for pod in observed.pods if pod.is_draining and pod.is_ready]
    if not any(isinstance(action, Drain) for action in actions):
        return tuple(draining)
    return tuple(draining + [pod for pod in observed.pods if pod.is_active and pod.is_ready])
