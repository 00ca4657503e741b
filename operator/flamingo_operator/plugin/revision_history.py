"""The revisions of a deployment, as rows and as documents.

Pure.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster import observed
from flamingo_operator.cluster.observed import Revision
from flamingo_operator.manifests import revisions, spec_revision
from flamingo_operator.manifests.common import Release
from flamingo_operator.plugin import spec_diff

Json: TypeAlias = Mapping[str, Any]

UNKNOWN_RELEASE = Release("default", "", "", "")
"""The plugin does not know the operator's default image; a stored revision names its own."""


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One revision."""

    number: int
    hash: str
    created: str
    image: str
    num_pods: int
    state: str
    """current, rolling out, failed, complete or superseded."""
    changes: tuple[str, ...]
    """The fields that made its pods differ from those of the revision before."""


def current_revision(deployment: FlamingoDeployment, found: Iterable[Revision]) -> Revision | None:
    """Return the revision of the spec."""
    return spec_revision.find(deployment, UNKNOWN_RELEASE, found)


def history(
    deployment: FlamingoDeployment, raw: Sequence[Json], pods: Iterable[Json]
) -> Iterator[HistoryRow]:
    """Yield a deployment's revisions, the oldest first."""
    parsed = [observed.parse_revision(one) for one in raw]
    of_pods = [observed.parse_pod(one).revision for one in pods]
    current, before = current_revision(deployment, parsed), None
    for one, revision in zip(raw, parsed, strict=True):
        yield HistoryRow(
            number=revision.number,
            hash=revision.hash,
            created=one["metadata"].get("creationTimestamp", ""),
            image=image(revision),
            num_pods=of_pods.count(revision.hash),
            state=_state(revision, is_current=revision == current),
            changes=tuple(_changes(deployment.metadata.name, before, revision)),
        )
        before = revision


def image(revision: Revision) -> str:
    """Return the image of a revision's server container."""
    containers = json.loads(revision.template).get("spec", {}).get("containers", [])
    return next((str(one.get("image", "")) for one in containers if one["name"] == "server"), "")


def _state(revision: Revision, *, is_current: bool) -> str:
    if revision.failed_s is not None:
        return "failed"
    if is_current:
        return "current" if revisions.is_complete(revision) else "rolling out"
    return "complete" if revision.completed_s is not None else "superseded"


def _changes(name: str, before: Revision | None, after: Revision) -> Iterator[str]:
    if before is None:
        return
    specs = [json.loads(one.inputs or "{}").get("spec") for one in (before, after)]
    if None in specs:
        return
    yield from spec_diff.template_changes(name, *specs)
    is_default = [not (one.get("server") or {}).get("image") for one in specs]
    if all(is_default) and image(before) != image(after):
        yield "the default image"
