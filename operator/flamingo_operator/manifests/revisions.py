"""The life of a revision: wanted, under way, carried the load or given up, forgotten.

A rollout's memory is in the annotations of its ControllerRevision, because a
status may be lost and an operator killed.

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
from flamingo_operator.rollout.rollout import Step
from flamingo_operator.rollout.target_revision import Goal

MAX_KEPT = 5
"""Revisions kept beside those in use, for going back to."""


@dataclass(frozen=True, slots=True)
class RevisionActions:
    """What to do about the revisions, and when to look again."""

    actions: tuple[Action, ...]
    wake_s: float | None = None


def actions(
    deployment: FlamingoDeployment,
    observed: Observed,
    goal: Goal | None,
    step: Step,
    context: tuple[Release, float],
) -> RevisionActions:
    """Return what to write down."""
    release, now_s = context
    if goal is None:
        return RevisionActions((_first(deployment, observed, release, now_s),))
    update, wake_s = _noted(deployment, observed, goal, step, now_s)
    kept: list[Action] = []
    if update != goal.update or not update.ref.owner_uid:
        kept.append(_written(deployment, update))
    kept += [
        _written(deployment, replace(one, failed_s=None))
        for one in observed.revisions
        if one is not goal.update and (one.failed_s is not None or not one.ref.owner_uid)
    ]
    kept += _forgotten(observed, goal)
    return RevisionActions(tuple(kept), wake_s)


def _first(
    deployment: FlamingoDeployment, observed: Observed, release: Release, now_s: float
) -> Apply:
    moved = {names.ROLLOUT_MOVED: timestamps.encode(now_s)}
    number = _newest(observed) + 1
    manifest = pod_template.controller_revision(
        deployment, release, number=number, annotations=moved
    )
    return Apply(manifest, is_new=True)


def _newest(observed: Observed) -> int:
    return max((one.number for one in observed.revisions), default=0)


def _noted(
    deployment: FlamingoDeployment, observed: Observed, goal: Goal, step: Step, now_s: float
) -> tuple[Revision, float | None]:
    """Return the spec's revision as it should be written, and when it may be given up."""
    update, newest = goal.update, _newest(observed)
    if update.number < newest:
        # Wanted again: it has to prove itself again.
        return replace(update, number=newest + 1, progressed_s=now_s, failed_s=None), None
    if is_complete(update):
        return update, None
    # While no server is wanted, none can prove that it works.
    is_untried = step.is_complete and not any(pod.is_active for pod in observed.pods)
    is_held = deployment.spec.rollout.paused or is_untried
    if is_held or update.progressed_s is None:
        return replace(update, progressed_s=None if is_held else now_s), None
    if step.is_complete and not goal.is_rolled_back:
        return replace(update, completed_s=max(now_s, update.progressed_s), failed_s=None), None
    if update.failed_s is not None:
        return update, None
    return _judged(deployment, observed, update, step, now_s)


def _judged(
    deployment: FlamingoDeployment, observed: Observed, update: Revision, step: Step, now_s: float
) -> tuple[Revision, float | None]:
    """Return a revision under way: it moves, or is given up, or when it will be."""
    drain = deployment.spec.drain
    if any(pod.is_ready and pod.revision != update.hash for pod in step.leave):
        # The next server may have to wait for this one's GPU.
        return replace(
            update, progressed_s=now_s + drain.settle_seconds + drain.deadline_seconds
        ), None
    sight = rollout.fleet(observed, update.hash, now_s)
    deadline_s = rollout.deadline_s(deployment.spec, sight, update.progressed_s or now_s)
    if now_s < deadline_s:
        return update, deadline_s
    return replace(update, failed_s=now_s), None


def is_complete(revision: Revision) -> bool:
    """Whether the revision has carried the load since it was last wanted."""
    completed_s, progressed_s = revision.completed_s, revision.progressed_s
    return completed_s is not None and progressed_s is not None and completed_s >= progressed_s


def _written(deployment: FlamingoDeployment, revision: Revision) -> Apply:
    moments_of = {
        names.ROLLOUT_MOVED: revision.progressed_s,
        names.ROLLOUT_COMPLETE: revision.completed_s,
        names.ROLLOUT_FAILED: revision.failed_s,
    }
    annotations = {
        name: timestamps.encode(moment) for name, moment in moments_of.items() if moment is not None
    }
    manifest = pod_template.revision_manifest(
        deployment,
        revision.hash,
        json.loads(revision.template),
        number=revision.number,
        annotations=annotations,
    )
    return Apply(manifest, is_new=False)


def _forgotten(observed: Observed, goal: Goal) -> Iterator[Delete]:
    in_use = {pod.revision for pod in observed.pods}
    in_use |= {one.hash for one in (goal.update, goal.target, goal.stable) if one is not None}
    spare = [one for one in observed.revisions if one.hash not in in_use]
    spare.sort(key=lambda one: one.number, reverse=True)
    for one in spare[MAX_KEPT:]:
        yield Delete(one.ref, "an old template that no pod has")
