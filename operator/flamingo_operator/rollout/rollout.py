"""Which servers come and which leave, so that their number and revision become what is wanted.

Bounds, whatever happens: never more than maxSurge above the wanted number, never
more than maxUnavailable of the wanted number not serving by our doing, never more
than maxPending pods that are not ready. `Auto` first tries a pod too many; where
no GPU is free for it, it lets one leave first, and remembers that by the pods'
own scheduling times, so it waits only once.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flamingo_operator.api.rollout import Rollout
from flamingo_operator.api.spec import Spec
from flamingo_operator.cluster.observed import Observed, Pod
from flamingo_operator.rollout import removal_order

GLANCE_S = 10.0
"""How long a pod waits for a GPU once it is known that none is free."""
REPLACE_FAILED_S = 15.0
"""How long a failed pod is kept, so that one that fails at once is not replaced at once."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many servers, of which revision."""

    num: int
    revision: str


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now, and when to look again though nothing happens."""

    num_new: int = 0
    leave: tuple[Pod, ...] = ()
    undrain: tuple[Pod, ...] = ()
    wake_s: float | None = None
    is_complete: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """The pods that serve or will, by what matters to a rollout."""

    new: tuple[Pod, ...]
    old: tuple[Pod, ...]
    leaving: tuple[Pod, ...]
    """Drained or terminating: their GPU is not free yet."""
    num_failed: int
    """Pods that failed so lately that replacing them at once might become a loop."""

    @property
    def num(self) -> int:
        """How many there are."""
        return len(self.new) + len(self.old)


def fleet(observed: Observed, revision: str, now_s: float) -> Fleet:
    """Return the pods, sorted out."""
    alive = [pod for pod in observed.pods if pod.is_active]
    return Fleet(
        new=tuple(pod for pod in alive if _is_wanted(pod, revision)),
        old=tuple(pod for pod in alive if not _is_wanted(pod, revision)),
        leaving=tuple(pod for pod in observed.pods if pod.is_draining or pod.is_terminating),
        num_failed=sum(
            pod.is_finished and not pod.is_terminating and now_s < _replace_s(pod)
            for pod in observed.pods
        ),
    )


def _is_wanted(pod: Pod, revision: str) -> bool:
    return pod.revision == revision and not pod.is_drain_requested


def step(spec: Spec, observed: Observed, wanted: Wanted, now_s: float) -> Step:
    """Return what to do now."""
    sight = fleet(observed, wanted.revision, now_s)
    if spec.rollout.paused:
        # Old servers stay as they are, but those that a person asks to leave.
        stay = tuple(pod for pod in sight.old if not pod.is_drain_requested)
        go = tuple(pod for pod in sight.old if pod.is_drain_requested)
        sight = replace(sight, new=sight.new + stay, old=go)
    if not sight.old:
        return _sized(spec, observed, sight, wanted, now_s)
    if spec.rollout.strategy == "Recreate":
        return Step(leave=sight.old)
    return _rolled(spec, observed, sight, wanted, now_s)


def _sized(spec: Spec, observed: Observed, sight: Fleet, wanted: Wanted, now_s: float) -> Step:
    """All are of the wanted revision: only their number may be wrong."""
    surplus = len(sight.new) - wanted.num
    if surplus > 0:
        order = removal_order.in_order(sight.new, observed, wanted.revision)
        return Step(leave=tuple(order[:surplus]))
    back = _undrained(sight, wanted.revision, -surplus)
    missing = max(0, -surplus - len(back) - sight.num_failed)
    num_new = 0 if _waits_for_leavers(spec, sight, wanted) else missing
    available = [pod for pod in sight.new if is_available(pod, spec.rollout, now_s)]
    return Step(
        num_new=min(num_new, _room_for_pending(spec, sight)),
        undrain=back,
        wake_s=_next_available_s(sight.new, spec.rollout, now_s),
        is_complete=len(available) >= wanted.num and surplus == 0,
    )


def _waits_for_leavers(spec: Spec, sight: Fleet, wanted: Wanted) -> bool:
    is_recreate = spec.rollout.strategy == "Recreate"
    return is_recreate and any(pod.revision != wanted.revision for pod in sight.leaving)


def _rolled(spec: Spec, observed: Observed, sight: Fleet, wanted: Wanted, now_s: float) -> Step:
    rules = spec.rollout
    is_tight, tight_s = _tightness(spec, sight, now_s)
    max_unavailable = max(rules.max_unavailable, 1) if is_tight else rules.max_unavailable
    most, fewest = wanted.num + rules.max_surge, max(0, wanted.num - max_unavailable)
    missing = max(0, min(wanted.num - len(sight.new), most - sight.num))
    back = _undrained(sight, wanted.revision, missing)
    wakes = [tight_s, _next_available_s(sight.new, rules, now_s)]
    return Step(
        num_new=min(max(0, missing - len(back) - sight.num_failed), _room_for_pending(spec, sight)),
        undrain=back,
        leave=_removable(spec, observed, sight, wanted, (fewest, now_s)),
        wake_s=min((wake for wake in wakes if wake is not None), default=None),
    )


def _removable(
    spec: Spec, observed: Observed, sight: Fleet, wanted: Wanted, least: tuple[int, float]
) -> tuple[Pod, ...]:
    """Return who may leave while `fewest` go on serving; as a Deployment reckons it."""
    fewest, now_s = least
    fresh = [pod for pod in sight.new if is_available(pod, spec.rollout, now_s)]
    serving = [pod for pod in sight.old if pod.is_ready]
    # New ones that are not ready yet must not count as capacity that may be spent.
    spare = sight.num - fewest - (len(sight.new) - len(fresh))
    idle = [pod for pod in sight.old if not pod.is_ready]
    order = removal_order.in_order(idle, observed, wanted.revision)[: max(0, spare)]
    spare = min(spare - len(order), len(fresh) + len(serving) - fewest)
    order += removal_order.in_order(serving, observed, wanted.revision)[: max(0, spare)]
    too_many = removal_order.in_order(sight.new, observed, wanted.revision)
    not_ready = [pod for pod in too_many if not pod.is_ready]
    return tuple(order + not_ready[: max(0, len(sight.new) - wanted.num)])


def _tightness(spec: Spec, sight: Fleet, now_s: float) -> tuple[bool, float | None]:
    """Return whether no GPU is free for one more, and when that may become known."""
    waiting = [pod.created_s for pod in sight.new if pod.is_unschedulable]
    if spec.rollout.strategy != "Auto" or not waiting:
        return False, None
    patience_s = float(spec.rollout.surge_pending_seconds)
    waited = (pod.scheduled_s - pod.created_s for pod in sight.new if pod.scheduled_s is not None)
    if any(one_s >= patience_s for one_s in waited):
        patience_s = GLANCE_S
    known_s = min(waiting) + patience_s
    return known_s <= now_s, known_s if known_s > now_s else None


def _undrained(sight: Fleet, revision: str, num: int) -> tuple[Pod, ...]:
    """Return draining pods that are wanted again, those that began last first."""
    usable = [
        pod
        for pod in sight.leaving
        if pod.is_draining and pod.is_ready and _is_wanted(pod, revision)
    ]
    usable.sort(key=lambda pod: (-(pod.drain_started_s or 0.0), pod.ref.name))
    return tuple(usable[: max(0, num)])


def _room_for_pending(spec: Spec, sight: Fleet) -> int:
    num_pending = sum(not pod.is_ready for pod in sight.new)
    return max(0, spec.scaling.scale_up.max_pending - num_pending)


def is_available(pod: Pod, rules: Rollout, now_s: float) -> bool:
    """Whether a pod has been ready for long enough to count on it."""
    # Of no time, the clocks of two machines need not agree.
    is_at_once = rules.min_ready_seconds == 0
    return pod.is_ready and (is_at_once or now_s - pod.ready_since_s >= rules.min_ready_seconds)


def _next_available_s(pods: Sequence[Pod], rules: Rollout, now_s: float) -> float | None:
    soon = (pod.ready_since_s + rules.min_ready_seconds for pod in pods if pod.is_ready)
    return min((moment for moment in soon if moment > now_s), default=None)


def deadline_s(spec: Spec, sight: Fleet, moved_s: float) -> float:
    """Return when a rollout that last moved at `moved_s` has made no progress for too long."""
    progress = [pod.ready_since_s for pod in sight.new if pod.is_ready]
    return max([moved_s, *progress]) + spec.rollout.progress_deadline_seconds


def next_ordinals(observed: Observed, revision: str, num: int) -> list[int]:
    """Return the lowest numbers that no pod of the revision has.

    A number is a pod's name: whoever decides the same on the same sight names
    the same pod, so a crash between deciding and seeing makes no second one.
    """
    # By name: somebody may have taken a pod's label off.
    known = [pod.ref.name.rpartition("-") for pod in observed.pods]
    taken = {number for stem, _, number in known if stem.endswith(f"-{revision}")}
    taken |= {name.rpartition("-")[2] for name in observed.conflicts}
    free = (number for number in range(len(taken) + num + 1) if str(number) not in taken)
    return [next(free) for _ in range(num)]


def is_old_news(pod: Pod, now_s: float) -> bool:
    """Whether a failed pod has been kept long enough."""
    return pod.is_finished and not pod.is_terminating and now_s >= _replace_s(pod)


def _replace_s(pod: Pod) -> float:
    return max(pod.created_s, pod.ready_since_s) + REPLACE_FAILED_S


def replace_failed_s(observed: Observed, now_s: float) -> float | None:
    """Return when the next failed pod makes room."""
    moments = (_replace_s(pod) for pod in observed.pods if pod.is_finished)
    return min((moment for moment in moments if moment > now_s), default=None)
