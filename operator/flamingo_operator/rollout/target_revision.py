"""Which revision a rollout targets.

It is the revision of the spec, or, once that one failed to become ready in time, the last
revision that completed a rollout. A paused rollout keeps the revision that most pods run.

Pure.
"""

from dataclasses import dataclass

from flamingo_operator.api.spec import Spec
from flamingo_operator.cluster.observed import Observed, Revision


@dataclass(frozen=True, slots=True)
class RolloutTarget:
    """The revisions that matter to a rollout."""

    update: Revision
    """The spec's revision."""
    revision: Revision
    """The revision that new pods are created from now."""
    stable: Revision | None
    """The newest other revision that completed a rollout."""

    @property
    def is_rolled_back(self) -> bool:
        """Whether pods are created from another revision than the spec's."""
        return self.revision is not self.update


def choose_target(spec: Spec, observed: Observed, update: Revision) -> RolloutTarget:
    """Return the target of the rollout; `update` is the spec's revision."""
    completed = [one for one in observed.revisions if one.completed_s and one is not update]
    stable = max(completed, key=lambda one: (one.completed_s or 0, one.number), default=None)
    has_failed = update.failed_s is not None and spec.rollout.rollback_on_failure
    paused_at = _most_common_revision(observed, update) if spec.rollout.paused else None
    revision = stable if has_failed and stable is not None else paused_at or update
    return RolloutTarget(update=update, revision=revision, stable=stable)


def _most_common_revision(observed: Observed, update: Revision) -> Revision | None:
    """Return the outdated revision that most pods run; None if all run the spec's."""
    running = [pod.revision for pod in observed.pods if pod.is_active]
    if not running or all(revision == update.hash for revision in running):
        return None
    known = [one for one in observed.revisions if one.hash in running and one is not update]
    return max(known, key=lambda one: (running.count(one.hash), one.number), default=None)
