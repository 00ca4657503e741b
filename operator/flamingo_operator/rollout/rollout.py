"""Which server pods are created and removed, to get to the desired number and revision.

How it works. A pod is *new* when it runs the desired revision and no drain of it was
requested; every other pod is *old*. While there are only new ones, only their number is
adjusted (`_scale`). Otherwise old pods are replaced (`_roll`), as a Deployment does:

- There are never more than desired + maxSurge pods.
- A rollout never takes the available pods below desired - maxUnavailable. Pods that are
  not available yet do not count here.
- Never more than maxPending new pods are not ready at one time.
- Strategy Recreate removes all old pods before it creates new ones. Auto surges like
  RollingUpdate, but when the extra pod cannot come for surgePendingSeconds, an old pod whose
  removal makes room is removed first (`surge`).
- A pod on a node that is cordoned is old, too: it is replaced, so that the node can be emptied.
- While the API server refuses to create pods, it is asked again at growing intervals, and as
  soon as a pod is gone.
- A draining pod that is needed again is put back into rotation, which is cheaper than a
  cold start. A failed pod is replaced after REPLACE_FAILED_S.

No state is kept between calls: all of it is read from the pods, so another operator
can continue at any point.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flamingo_operator.api.rollout import Rollout
from flamingo_operator.api.spec import Spec
from flamingo_operator.cluster.observed import Observed, Pod
from flamingo_operator.rollout.removal_order import removal_order
from flamingo_operator.rollout.surge import Blockage, SurgeInputs, SurgeState, surge_state

REPLACE_FAILED_S = 15.0
"""How long a failed pod is kept, so that a crash loop does not create pods in a loop."""


@dataclass(frozen=True, slots=True)
class DesiredPods:
    """How many pods there should be, and of which revision."""

    num: int
    revision: str


@dataclass(frozen=True, slots=True)
class RolloutStep:
    """What to do now, and when to reconcile again even if nothing changes."""

    num_new: int = 0
    """Pods to create."""
    num_held: int = 0
    """Pods that are not created yet, because the API server has just refused to."""
    blockage: Blockage | None = None
    """Why, and since when, there is no room for an additional pod."""
    can_make_room: bool = False
    """The removal of an old pod makes room for a new one."""
    to_remove: tuple[Pod, ...] = ()
    to_undrain: tuple[Pod, ...] = ()
    """Draining pods to put back into rotation."""
    requeue_at_s: float | None = None
    is_complete: bool = False
    """The desired number of pods of the desired revision is available."""


@dataclass(frozen=True, slots=True)
class PodSets:
    """The pods of a deployment, by their role in a rollout."""

    new: tuple[Pod, ...]
    old: tuple[Pod, ...]
    draining: tuple[Pod, ...]
    """Draining or terminating: their GPUs are not free yet."""
    num_failed: int
    """Pods that failed too recently to be replaced."""

    @property
    def num(self) -> int:
        """Number of new and old pods."""
        return len(self.new) + len(self.old)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """All that a step depends on."""

    spec: Spec
    observed: Observed
    pods: PodSets
    desired: DesiredPods
    now_s: float

    @property
    def available(self) -> list[Pod]:
        return [pod for pod in self.pods.new if is_available(pod, self.spec.rollout, self.now_s)]

    @property
    def max_new_pending(self) -> int:
        """How many more new pods may be created now."""
        num_pending = sum(not pod.is_ready for pod in self.pods.new)
        return max(0, self.spec.scaling.scale_up.max_pending - num_pending)

    def removal_order(self, pods: Sequence[Pod]) -> list[Pod]:
        return removal_order(pods, self.observed, self.desired.revision)


def pod_sets(observed: Observed, revision: str, now_s: float) -> PodSets:
    """Return the pods, split into the sets that a rollout to `revision` distinguishes."""
    alive = [pod for pod in observed.pods if pod.is_active]
    return PodSets(
        new=tuple(pod for pod in alive if _is_new(pod, revision, observed)),
        old=tuple(pod for pod in alive if not _is_new(pod, revision, observed)),
        draining=tuple(pod for pod in observed.pods if pod.is_draining or pod.is_terminating),
        num_failed=sum(
            pod.is_finished and not pod.is_terminating and now_s < _replace_at_s(pod)
            for pod in observed.pods
        ),
    )


def _is_new(pod: Pod, revision: str, observed: Observed) -> bool:
    return pod.revision == revision and not is_unwanted(pod, observed)


def is_unwanted(pod: Pod, observed: Observed) -> bool:
    """Whether a pod is to be replaced although its revision may be right."""
    node = observed.nodes.get(pod.node)
    return pod.is_drain_requested or (node is not None and node.is_cordoned)


def next_step(spec: Spec, observed: Observed, desired: DesiredPods, now_s: float) -> RolloutStep:
    """Return what to do now."""
    pods = pod_sets(observed, desired.revision, now_s)
    if spec.rollout.paused:
        # Old pods stay as they are, except those that are to be replaced anyway.
        kept = tuple(pod for pod in pods.old if not is_unwanted(pod, observed))
        requested = tuple(pod for pod in pods.old if is_unwanted(pod, observed))
        pods = replace(pods, new=pods.new + kept, old=requested)
    inputs = _Inputs(spec, observed, pods, desired, now_s)
    if not pods.old:
        return _with_held(inputs, _scale(inputs))
    at_once = [pod for pod in pods.old if _is_outdated(inputs, pod) or pod.is_drain_requested]
    if spec.rollout.strategy == "Recreate" and at_once:
        return RolloutStep(to_remove=tuple(at_once))
    return _with_held(inputs, _roll(inputs))


def _is_outdated(inputs: _Inputs, pod: Pod) -> bool:
    return pod.revision != inputs.desired.revision


def _with_held(inputs: _Inputs, step: RolloutStep) -> RolloutStep:
    """Return the step without the pods that the API server would refuse again."""
    rejection, num_pods = inputs.observed.pod_rejection, len(inputs.observed.pods)
    if rejection is None or not step.num_new:
        return step
    if not rejection.holds(inputs.desired.revision, num_pods, inputs.now_s):
        return step
    at_s = min(step.requeue_at_s or rejection.retry_at_s, rejection.retry_at_s)
    return replace(step, num_new=0, num_held=step.num_new, requeue_at_s=at_s)


def _scale(inputs: _Inputs) -> RolloutStep:
    """Return the step when all pods are new: only their number may have to change."""
    pods, desired = inputs.pods, inputs.desired
    surplus = len(pods.new) - desired.num
    if surplus > 0:
        return RolloutStep(to_remove=tuple(inputs.removal_order(pods.new)[:surplus]))
    to_undrain = _to_undrain(inputs, -surplus)
    missing = max(0, -surplus - len(to_undrain) - pods.num_failed)
    num_new = 0 if _waits_for_old_pods(inputs) else missing
    return RolloutStep(
        num_new=min(num_new, inputs.max_new_pending),
        to_undrain=to_undrain,
        requeue_at_s=_next_available_s(pods.new, inputs.spec.rollout, inputs.now_s),
        is_complete=len(inputs.available) >= desired.num and surplus == 0,
    )


def _waits_for_old_pods(inputs: _Inputs) -> bool:
    """Whether strategy Recreate still waits for old pods to terminate."""
    is_recreate = inputs.spec.rollout.strategy == "Recreate"
    return is_recreate and any(
        pod.revision != inputs.desired.revision for pod in inputs.pods.draining
    )


def _roll(inputs: _Inputs) -> RolloutStep:
    """Return the step while there are old pods to replace one by one."""
    rules, pods, desired = inputs.spec.rollout, inputs.pods, inputs.desired
    surge = _surge_state(inputs)
    max_pods = desired.num + rules.max_surge
    missing = max(0, min(desired.num - len(pods.new), max_pods - pods.num))
    to_undrain = _to_undrain(inputs, missing)
    num_new = max(0, missing - len(to_undrain) - pods.num_failed)
    requeues_at_s = [surge.requeue_at_s, _next_available_s(pods.new, rules, inputs.now_s)]
    return RolloutStep(
        num_new=min(num_new, inputs.max_new_pending),
        blockage=surge.blockage,
        can_make_room=surge.can_make_room,
        to_undrain=to_undrain,
        to_remove=_to_remove(inputs, surge),
        requeue_at_s=min((at_s for at_s in requeues_at_s if at_s is not None), default=None),
        is_complete=_is_proven(inputs),
    )


def _is_proven(inputs: _Inputs) -> bool:
    """Whether only pods of the desired revision are left, which has been shown to work.

    Some of them may still have to move to other nodes, which the rollout need not wait for.
    """
    if any(_is_outdated(inputs, pod) for pod in inputs.pods.old):
        return False
    rules, now_s = inputs.spec.rollout, inputs.now_s
    to_move = [pod for pod in inputs.pods.old if is_available(pod, rules, now_s)]
    return len(inputs.available) + len(to_move) >= inputs.desired.num


def _surge_state(inputs: _Inputs) -> SurgeState:
    rules = inputs.spec.rollout
    return surge_state(
        SurgeInputs(
            observed=inputs.observed,
            revision=inputs.desired.revision,
            new=inputs.pods.new,
            old=inputs.removal_order(inputs.pods.old),
            max_unavailable=max(rules.max_unavailable, 1),
            wait_s=float(rules.surge_pending_seconds),
            now_s=inputs.now_s,
        )
    )


def _to_remove(inputs: _Inputs, surge: SurgeState) -> tuple[Pod, ...]:
    """Return the pods to remove now: by the rules, or more of those that make room."""
    rules, num = inputs.spec.rollout, inputs.desired.num
    by_rules = _removable(inputs, inputs.pods.old, max(0, num - rules.max_unavailable))
    if rules.strategy != "Auto" or not surge.helpful:
        return by_rules
    first = _removable(inputs, surge.helpful, max(0, num - max(rules.max_unavailable, 1)))
    return first if len(first) > len(by_rules) else by_rules


def _removable(inputs: _Inputs, old: Sequence[Pod], min_available: int) -> tuple[Pod, ...]:
    """Return the pods to remove while `min_available` stay available, as a Deployment counts.

    Of the old pods only those in `old` are removed; so are new ones beyond the desired number.
    """
    pods, available = inputs.pods, inputs.available
    num_serving = sum(pod.is_ready for pod in pods.old)
    # New pods that are not available yet must not count as capacity that can be given up.
    spare = pods.num - min_available - (len(pods.new) - len(available))
    removed = inputs.removal_order([pod for pod in old if not pod.is_ready])[: max(0, spare)]
    spare = min(spare - len(removed), len(available) + num_serving - min_available)
    removed += inputs.removal_order([pod for pod in old if pod.is_ready])[: max(0, spare)]
    not_ready = [pod for pod in inputs.removal_order(pods.new) if not pod.is_ready]
    return tuple(removed + not_ready[: max(0, len(pods.new) - inputs.desired.num)])


def _to_undrain(inputs: _Inputs, num: int) -> tuple[Pod, ...]:
    """Return up to `num` draining pods that are needed again, the latest to drain first."""
    revision, observed = inputs.desired.revision, inputs.observed
    usable = [
        pod
        for pod in inputs.pods.draining
        if pod.is_draining and pod.is_ready and _is_new(pod, revision, observed)
    ]
    usable.sort(key=lambda pod: (-(pod.drain_started_s or 0.0), pod.ref.name))
    return tuple(usable[: max(0, num)])


def is_available(pod: Pod, rules: Rollout, now_s: float) -> bool:
    """Whether a pod has been ready for minReadySeconds."""
    # With none to wait for, the clocks of the node and the operator need not agree.
    is_at_once = rules.min_ready_seconds == 0
    return pod.is_ready and (is_at_once or now_s - pod.ready_since_s >= rules.min_ready_seconds)


def _next_available_s(pods: Sequence[Pod], rules: Rollout, now_s: float) -> float | None:
    available_at_s = (pod.ready_since_s + rules.min_ready_seconds for pod in pods if pod.is_ready)
    return min((at_s for at_s in available_at_s if at_s > now_s), default=None)


def deadline_s(spec: Spec, pods: PodSets, progressed_s: float) -> float:
    """Return the progress deadline of a rollout that last progressed at `progressed_s`."""
    ready_s = [pod.ready_since_s for pod in pods.new if pod.is_ready]
    return max([progressed_s, *ready_s]) + spec.rollout.progress_deadline_seconds


def next_ordinals(observed: Observed, revision: str, num: int) -> list[int]:
    """Return the lowest ordinals that no pod of the revision has.

    The ordinal is part of the pod's name: the same decision on the same observation names
    the same pod, so a crash between creating a pod and seeing it creates no second one.
    """
    # By name: a pod's labels may have been removed.
    known = [pod.ref.name.rpartition("-") for pod in observed.pods]
    taken = {ordinal for stem, _, ordinal in known if stem.endswith(f"-{revision}")}
    taken |= {name.rpartition("-")[2] for name in observed.conflicts}
    free = (ordinal for ordinal in range(len(taken) + num + 1) if str(ordinal) not in taken)
    return [next(free) for _ in range(num)]


def is_replacement_due(pod: Pod, now_s: float) -> bool:
    """Whether a failed pod has been kept long enough to be deleted and replaced."""
    return pod.is_finished and not pod.is_terminating and now_s >= _replace_at_s(pod)


def _replace_at_s(pod: Pod) -> float:
    return max(pod.created_s, pod.ready_since_s) + REPLACE_FAILED_S


def next_replacement_s(observed: Observed, now_s: float) -> float | None:
    """Return when the next failed pod is to be replaced; None if there is none."""
    at_s = (_replace_at_s(pod) for pod in observed.pods if pod.is_finished)
    return min((one_s for one_s in at_s if one_s > now_s), default=None)
