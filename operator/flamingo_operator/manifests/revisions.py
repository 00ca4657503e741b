"""The ControllerRevisions of a deployment: created, rolled out, completed or failed, deleted.

How it works: a revision is a pod template under its hash (`spec_revision`). The progress of its
rollout is kept in annotations of the ControllerRevision itself, because a status may be lost and
an operator killed.
`rollout-moved` is the time of the last progress, which starts the progress
deadline; `rollout-complete` is the time at which all server pods ran the
revision; `rollout-failed` is the time at which the deadline passed, and `rollout-failed-by`
says why; `rollout-blocked` is the time since which there is no room for an additional pod, and
`rollout-blocked-by` says why. A revision that becomes the spec's again gets the highest number
and starts over. While a rollout or the whole deployment is paused, or no server pods are desired,
the deadline does not run.

Pure.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from flamingo_operator.api import names, timestamps
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster.actions import Action, Apply, Delete
from flamingo_operator.cluster.observed import Observed, Revision
from flamingo_operator.manifests import spec_revision
from flamingo_operator.manifests.common import Release
from flamingo_operator.rollout import rollout
from flamingo_operator.rollout.rollout import RolloutStep
from flamingo_operator.rollout.target_revision import RolloutTarget

MAX_CAUSE_CHARS = 512
MAX_UNUSED = 5
"""Revisions kept although no pod uses them, so that a rollback finds its template."""


@dataclass(frozen=True, slots=True)
class RevisionInputs:
    """All that the decisions about a deployment's revisions depend on."""

    deployment: FlamingoDeployment
    observed: Observed
    release: Release
    now_s: float
    failure: Callable[[], str] = str
    """Says why server pods of the revision that is rolled out do not come or do not work. Only a
    rollout that fails calls it, because all pods are examined for it."""


@dataclass(frozen=True, slots=True)
class RevisionActions:
    """What to write to the revisions, and when to reconcile again."""

    actions: tuple[Action, ...]
    requeue_at_s: float | None = None


def actions(
    inputs: RevisionInputs, target: RolloutTarget | None, step: RolloutStep
) -> RevisionActions:
    """Return the revisions to create, update and delete.

    `target` is None until the spec has a revision; then that is created first.
    """
    deployment, observed = inputs.deployment, inputs.observed
    if target is None:
        return RevisionActions((_create_first(inputs),))
    update, requeue_at_s = _with_progress(inputs, target, step)
    written = [
        _apply_revision(deployment, revision)
        for one in observed.revisions
        if (revision := _updated(one, update, target, step)) != one or not one.ref.owner_uid
    ]
    return RevisionActions((*written, *_delete_unused(observed, target)), requeue_at_s)


def _updated(one: Revision, update: Revision, target: RolloutTarget, step: RolloutStep) -> Revision:
    """Return a revision with what is known of its rollout now; `update` is the spec's."""
    is_update = one.hash == update.hash
    one = update if is_update else replace(one, failed_s=None, failed_by="")
    blockage = step.blockage if one.hash == target.revision.hash else None
    if blockage is None:
        return replace(one, blocked_s=None, blocked_by="")
    return replace(one, blocked_s=float(int(blockage.since_s)), blocked_by=blockage.message)


def _create_first(inputs: RevisionInputs) -> Apply:
    progressed = {names.ROLLOUT_MOVED: timestamps.encode(inputs.now_s)}
    manifest = spec_revision.new_manifest(
        inputs.deployment,
        inputs.release,
        number=_newest_number(inputs.observed) + 1,
        annotations=progressed,
    )
    return Apply(manifest, is_new=True)


def _newest_number(observed: Observed) -> int:
    return max((one.number for one in observed.revisions), default=0)


def _with_progress(
    inputs: RevisionInputs, target: RolloutTarget, step: RolloutStep
) -> tuple[Revision, float | None]:
    """Return the spec's revision with its progress, and when the rollout may have failed."""
    update, newest, now_s = target.update, _newest_number(inputs.observed), inputs.now_s
    if update.number < newest:
        # It follows another revision now, so its earlier completion no longer counts.
        return replace(
            update, number=newest + 1, progressed_s=now_s, failed_s=None, failed_by=""
        ), None
    if is_complete(update):
        return update, None
    # While there are no server pods, none can show that the revision works.
    is_untried = step.is_complete and not any(pod.is_active for pod in inputs.observed.pods)
    is_paused = inputs.deployment.spec.rollout.paused or is_untried
    is_resumed = inputs.observed.was_paused and update.failed_s is None
    if is_paused or is_resumed or update.progressed_s is None:
        return replace(update, progressed_s=None if is_paused else now_s), None
    if step.is_complete and not target.is_rolled_back:
        completed_s = max(now_s, update.progressed_s)
        return replace(update, completed_s=completed_s, failed_s=None, failed_by=""), None
    if update.failed_s is not None:
        return update, None
    return _check_deadline(inputs, update, step)


def _check_deadline(
    inputs: RevisionInputs, update: Revision, step: RolloutStep
) -> tuple[Revision, float | None]:
    """Return a revision that is rolling out: progressed, failed, or with its deadline ahead."""
    spec, now_s = inputs.deployment.spec, inputs.now_s
    if any(pod.is_ready and pod.revision != update.hash for pod in step.to_remove):
        # The next server pod may have to wait for this one's GPU.
        drain_ends_s = now_s + spec.drain.settle_seconds + spec.drain.deadline_seconds
        return replace(update, progressed_s=drain_ends_s), None
    pods = rollout.pod_sets(inputs.observed, update.hash, now_s)
    deadline_s = rollout.deadline_s(spec, pods, update.progressed_s or now_s)
    if now_s < deadline_s:
        return update, deadline_s
    return replace(update, failed_s=now_s, failed_by=inputs.failure()[:MAX_CAUSE_CHARS]), None


def is_complete(revision: Revision) -> bool:
    """Whether the revision has completed its rollout since it last became the spec's."""
    completed_s, progressed_s = revision.completed_s, revision.progressed_s
    return completed_s is not None and progressed_s is not None and completed_s >= progressed_s


def _apply_revision(deployment: FlamingoDeployment, revision: Revision) -> Apply:
    times_s = {
        names.ROLLOUT_MOVED: revision.progressed_s,
        names.ROLLOUT_COMPLETE: revision.completed_s,
        names.ROLLOUT_FAILED: revision.failed_s,
        names.ROLLOUT_BLOCKED: revision.blocked_s,
    }
    causes = {
        names.ROLLOUT_FAILED_BY: revision.failed_by,
        names.ROLLOUT_BLOCKED_BY: revision.blocked_by,
    }
    annotations = {
        name: timestamps.encode(time_s) for name, time_s in times_s.items() if time_s is not None
    } | {name: text for name, text in causes.items() if text}
    manifest = spec_revision.manifest(
        deployment,
        revision.hash,
        {"template": json.loads(revision.template), "inputs": json.loads(revision.inputs)},
        number=revision.number,
        annotations=annotations,
    )
    return Apply(manifest, is_new=False)


def _delete_unused(observed: Observed, target: RolloutTarget) -> Iterator[Delete]:
    in_use = {pod.revision for pod in observed.pods}
    in_use |= {
        one.hash for one in (target.update, target.revision, target.stable) if one is not None
    }
    unused = [one for one in observed.revisions if one.hash not in in_use]
    unused.sort(key=lambda one: one.number, reverse=True)
    for one in unused[MAX_UNUSED:]:
        yield Delete(one.ref, "revision not in use")
