"""Which revision is wanted: the spec's, or, when that one failed, the last that carried the load.

Pure.
"""

from dataclasses import dataclass

from flamingo_operator.api.spec import Spec
from flamingo_operator.cluster.observed import Observed, Revision


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a rollout goes."""

    update: Revision
    """What the spec says."""
    target: Revision
    """What pods are made of now."""
    stable: Revision | None
    """The newest that once carried the load."""

    @property
    def is_rolled_back(self) -> bool:
        """Whether the spec's revision was given up."""
        return self.target is not self.update


def choose(spec: Spec, observed: Observed, wanted_hash: str) -> Goal | None:
    """Return the goal; None before the spec's revision exists."""
    by_hash = {revision.hash: revision for revision in observed.revisions}
    update = by_hash.get(wanted_hash)
    if update is None:
        return None
    carried = [one for one in observed.revisions if one.completed_s and one is not update]
    stable = max(carried, key=lambda one: (one.completed_s or 0, one.number), default=None)
    is_given_up = update.failed_s is not None and spec.rollout.rollback_on_failure
    held = _held(observed, update) if spec.rollout.paused else None
    target = stable if is_given_up and stable is not None else held or update
    return Goal(update=update, target=target, stable=stable)


def _held(observed: Observed, update: Revision) -> Revision | None:
    """Return the revision that a paused rollout stays with: the one that most pods have."""
    alive = [pod.revision for pod in observed.pods if pod.is_active]
    if not alive or all(revision == update.hash for revision in alive):
        return None
    known = [one for one in observed.revisions if one.hash in alive and one is not update]
    return max(known, key=lambda one: (alive.count(one.hash), one.number), default=None)
