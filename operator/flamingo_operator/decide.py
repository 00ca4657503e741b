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

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from flamingo_operator.alias_service import NOT_CLAIMED, SERVICE, AliasDecision, decide_alias
from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster import availability
from flamingo_operator.cluster.actions import (
    Action,
    Apply,
    Delete,
    Drain,
    ExtendDrain,
    Repair,
    Undrain,
)
from flamingo_operator.cluster.nodes import AvoidedNode
from flamingo_operator.cluster.observed import Observed, OwnedObject, Pod
from flamingo_operator.cluster.projection import digest_of_manifest
from flamingo_operator.diagnosis import fleet_failures
from flamingo_operator.manifests import (
    owned_objects,
    pod_template,
    preload,
    revisions,
    spec_revision,
)
from flamingo_operator.manifests.common import Manifest, Release, owner_reference
from flamingo_operator.manifests.outdated_images import OutdatedPods, outdated_pods
from flamingo_operator.manifests.revisions import RevisionInputs
from flamingo_operator.rollout import drain, node_avoidance, rollout
from flamingo_operator.rollout.node_avoidance import NodeAvoidance
from flamingo_operator.rollout.rollout import DesiredPods, RolloutStep
from flamingo_operator.rollout.target_revision import RolloutTarget, choose_target
from flamingo_operator.scaling.replicas import DesiredReplicas

IMMUTABLE_KINDS = frozenset({"Job"})
WORKLOAD_KINDS = frozenset({"Deployment", "Job"})
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
    leftovers: tuple[str, ...] = ()
    """Objects that have our names and that the operator made for a FlamingoDeployment of the same
    name, which was deleted: the garbage collector is about to delete them."""
    unreadable: tuple[str, ...] = ()
    """What of the spec could not be read, and what was used instead."""
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Kinds of which objects are required, and why these are left alone."""
    alias: AliasDecision = NOT_CLAIMED
    avoided_nodes: tuple[AvoidedNode, ...] = ()
    """Nodes that get no more server pods."""
    outdated: OutdatedPods = field(default_factory=OutdatedPods)
    """Pods that run the default image of another release."""
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
    update = spec_revision.find(deployment, release, observed.revisions)
    target = choose_target(deployment.spec, observed, update) if update is not None else None
    manifests = owned_objects.build_manifests(deployment, release, desired.num)
    unavailable = availability.missing_kinds({one["kind"] for one in manifests}, observed)
    manifests = [one for one in manifests if one["kind"] not in observed.unavailable]
    cache = _cache_state(deployment, observed)
    avoidance = node_avoidance.current_avoidance(deployment, observed, now_s)
    pods = _PodActions()
    if target is not None:
        pods = _pod_actions(
            _PodInputs(deployment, observed, target, desired, cache, avoidance, now_s)
        )
    failure = partial(_revision_failure, deployment, observed, target, now_s)
    kept = revisions.actions(
        RevisionInputs(deployment, observed, release, now_s, failure), target, pods.step
    )
    alias = decide_alias(deployment, observed, can_serve=_can_serve(deployment, observed, desired))
    requeues_at_s = (
        *pods.requeues_at_s,
        desired.requeue_at_s,
        kept.requeue_at_s,
        avoidance.requeue_at_s,
    )
    return Decision(
        actions=(
            *_to_apply(deployment, observed, _due(observed, manifests, target)),
            *_to_recreate(deployment, observed, manifests),
            *kept.actions,
            *pods.actions,
            *alias.actions,
            *_to_delete(deployment, observed, manifests),
        ),
        requeue_at_s=min((at_s for at_s in requeues_at_s if at_s is not None), default=None),
        desired=desired,
        target=target,
        step=pods.step,
        cache=cache,
        conflicts=_others_objects(deployment, observed, manifests, are_leftovers=False),
        leftovers=_others_objects(deployment, observed, manifests, are_leftovers=True),
        unavailable=unavailable,
        alias=alias,
        avoided_nodes=avoidance.nodes,
        outdated=outdated_pods(deployment, observed, release, target.update if target else None),
        adopts=_adopts(deployment, observed),
        pods_to_query=_pods_to_query(observed, pods.actions),
    )


def _revision_failure(
    deployment: FlamingoDeployment, observed: Observed, target: RolloutTarget | None, now_s: float
) -> str:
    if target is None:
        return ""
    return fleet_failures.revision_failure(deployment.spec, observed, target.update.hash, now_s)


def _cache_state(deployment: FlamingoDeployment, observed: Observed) -> str:
    if not deployment.spec.cache.preload:
        return "NotConfigured"
    job = observed.owned.get(("Job", preload.job_name(deployment)))
    if job is not None and job.is_failed:
        return "PreloadFailed"
    return "Ready" if job is not None and job.is_complete else "Preloading"


def _can_serve(
    deployment: FlamingoDeployment, observed: Observed, desired: DesiredReplicas
) -> bool:
    """Whether requests to the routers are answered."""
    routers = observed.owned.get(("Deployment", names.router(deployment.metadata.name)))
    has_server = any(pod.is_active and pod.is_ready for pod in observed.pods)
    return routers is not None and routers.num_ready > 0 and (has_server or desired.num == 0)


def _key(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def _due(
    observed: Observed, manifests: Iterable[Manifest], target: RolloutTarget | None
) -> Iterator[Manifest]:
    """Yield what may be applied now: what makes pods only when there is a status and a revision."""
    for manifest in manifests:
        is_new = _key(manifest) not in observed.owned
        if target is not None or not (is_new and manifest["kind"] in WORKLOAD_KINDS):
            yield manifest


def _to_apply(
    deployment: FlamingoDeployment, observed: Observed, manifests: Iterable[Manifest]
) -> Iterator[Apply]:
    for manifest in manifests:
        existing = observed.owned.get(_key(manifest))
        if existing is None:
            initial = owned_objects.initial_fields(deployment, manifest)
            yield Apply(manifest, is_new=True, initial=initial)
        elif _is_ours(deployment, existing) and _has_drifted(existing, manifest):
            yield Apply(manifest, is_new=False, released=_released(existing, manifest))


def _released(existing: OwnedObject, manifest: Manifest) -> Manifest:
    """Return the fields that we own and no longer set, but must not remove."""
    num = existing.owned_replicas
    is_released = num is not None and "replicas" not in manifest["spec"]
    return {"spec": {"replicas": num}} if is_released else {}


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


def _to_recreate(
    deployment: FlamingoDeployment, observed: Observed, manifests: Iterable[Manifest]
) -> Iterator[Delete]:
    """Yield Jobs that are not done and need another pod template, which is immutable."""
    for manifest in manifests:
        existing = observed.owned.get(_key(manifest))
        if manifest["kind"] not in IMMUTABLE_KINDS or existing is None:
            continue
        digest = manifest["metadata"]["annotations"][names.TEMPLATE_DIGEST]
        is_over = existing.is_complete or existing.is_terminating
        if not is_over and existing.template_digest != digest and _is_ours(deployment, existing):
            yield Delete(existing.ref, "its pod template changed")


def _is_ours(deployment: FlamingoDeployment, existing: OwnedObject) -> bool:
    """Whether we control the object, or may adopt it.

    An object without an owner is ours if we created it, as after `--cascade=orphan`.
    """
    is_orphan = not existing.ref.owner_uid
    is_adoptable = is_orphan and (existing.ref.kind in RETAINED_KINDS or bool(existing.digest))
    return is_adoptable or existing.ref.owner_uid == deployment.metadata.uid


def _others_objects(
    deployment: FlamingoDeployment,
    observed: Observed,
    manifests: Iterable[Manifest],
    *,
    are_leftovers: bool,
) -> tuple[str, ...]:
    """Return the objects of our names that are not ours: leftovers, or those of anything else."""
    existing = ((_key(one), observed.owned.get(_key(one))) for one in manifests)
    return tuple(
        sorted(
            f"{kind} {name}"
            for (kind, name), one in existing
            if one is not None
            and not _is_ours(deployment, one)
            and _is_leftover(one) == are_leftovers
        )
    )


def _is_leftover(existing: OwnedObject) -> bool:
    """Whether the operator made it: its label then names a FlamingoDeployment of our name."""
    return bool(existing.ref.owner_uid) and bool(existing.digest)


def _to_delete(
    deployment: FlamingoDeployment, observed: Observed, manifests: Iterable[Manifest]
) -> Iterator[Delete]:
    desired = {_key(manifest) for manifest in manifests}
    for key, one in sorted(observed.owned.items()):
        is_kept = key in desired or one.is_terminating or one.ref.kind in RETAINED_KINDS
        is_kept = is_kept or one.ref.kind in observed.unavailable
        # Those are decided about in `alias_service`.
        is_kept = is_kept or (
            key[0] == SERVICE and names.is_alias(deployment.metadata.name, key[1])
        )
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
