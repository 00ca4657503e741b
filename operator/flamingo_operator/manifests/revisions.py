"""The ControllerRevisions of a deployment: created, rolled out, completed or failed, deleted.

How it works: a revision is a pod template under the hash of what the user wrote
about the pod. The progress of its rollout is kept in annotations of the
ControllerRevision itself, because a status may be lost and an operator killed.
`rollout-moved` is the time of the last progress, which starts the progress
deadline; `rollout-complete` is the time at which all server pods ran the
revision; `rollout-failed` is the time at which the deadline passed. A revision that becomes the
spec's again gets the highest number and starts over. While a rollout is paused,
or no server pods are desired, the deadline does not run.

Pure.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from flamingo_operator.api import names, timestamps
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster.actions import Action, Apply, Delete
from flamingo_operator.cluster.observed import Observed, Revision
from flamingo_operator.manifests import pod_template
from flamingo_operator.manifests.common import Release
from flamingo_operator.rollout import rollout
from flamingo_operator.rollout.rollout import RolloutStep
from flamingo_operator.rollout.target_revision import RolloutTarget

MAX_UNUSED = 5
"""Revisions kept although no pod uses them, so that a rollback finds its template."""


@dataclass(frozen=True, slots=True)
class RevisionInputs:
    """All that the decisions about a deployment's revisions depend on."""

    deployment: FlamingoDeployment
    observed: Observed
    release: Release
    now_s: float


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
    written: list[Action] = []
    if update != target.update or not update.ref.owner_uid:
        written.append(_apply_revision(deployment, update))
    written += [
        _apply_revision(deployment, replace(one, failed_s=None))
        for one in observed.revisions
        if one is not target.update and (one.failed_s is not None or not one.ref.owner_uid)
    ]
    written += _delete_unused(observed, target)
    return RevisionActions(tuple(written), requeue_at_s)


def _create_first(inputs: RevisionInputs) -> Apply:
    progressed = {names.ROLLOUT_MOVED: timestamps.encode(inputs.now_s)}
    manifest = pod_template.new_revision_manifest(
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
        return replace(update, number=newest + 1, progressed_s=now_s, failed_s=None), None
    if is_complete(update):
        return update, None
    # While there are no server pods, none can show that the revision works.
    is_untried = step.is_complete and not any(pod.is_active for pod in inputs.observed.pods)
    is_paused = inputs.deployment.spec.rollout.paused or is_untried
    if is_paused or update.progressed_s is None:
        return replace(update, progressed_s=None if is_paused else now_s), None
    if step.is_complete and not target.is_rolled_back:
        completed_s = max(now_s, update.progressed_s)
        return replace(update, completed_s=completed_s, failed_s=None), None
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
    return replace(update, failed_s=now_s), None


def is_complete(revision: Revision) -> bool:
    """Whether the revision has completed its rollout since it last became the spec's."""
    completed_s, progressed_s = revision.completed_s, revision.progressed_s
    return completed_s is not None and progressed_s is not None and completed_s >= progressed_s


def _apply_revision(deployment: FlamingoDeployment, revision: Revision) -> Apply:
    times_s = {
        names.ROLLOUT_MOVED: revision.progressed_s,
        names.ROLLOUT_COMPLETE: revision.completed_s,
        names.ROLLOUT_FAILED: revision.failed_s,
    }
    annotations = {
        name: timestamps.encode(time_s) for name, time_s in times_s.items() if time_s is not None
    }
    manifest = pod_template.revision_manifest(
        deployment,
        revision.hash,
        json.loads(revision.template),
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
