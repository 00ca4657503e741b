"""`kubectl flamingo undo`: return to the server pods of an earlier revision."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import typer
from rich.text import Text

from flamingo_operator.cluster import observed
from flamingo_operator.cluster.observed import Revision
from flamingo_operator.plugin import manifest_patch, output, revision_history, spec_undo
from flamingo_operator.plugin.cluster import PluginError, connect, read_stored
from flamingo_operator.plugin.options import Context, Kubeconfig, Name, Namespace

Json: TypeAlias = Mapping[str, Any]


def undo(
    name: Name,
    *,
    to_revision: Annotated[
        int,
        typer.Option("--to-revision", min=0, help="Number of the revision; 0: the previous one."),
    ] = 0,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Change the spec so that the server pods are those of an earlier revision.

    Fields that change no server pod, such as the number of replicas, stay as they are.
    """
    cluster = connect(kubeconfig, context, namespace)
    body = cluster.get_deployment(name)
    if (body["spec"].get("rollout") or {}).get("paused"):
        raise PluginError(f"cannot undo {name!r}: set spec.rollout.paused to false first")
    found = [observed.parse_revision(one) for one in cluster.list_revisions(name)]
    current = revision_history.current_revision(read_stored(body), found)
    target = _target(found, current, to_revision)
    if target is current:
        shown = f"skipped undo (the spec already has revision {target.number})"
    else:
        cluster.patch_deployment(name, _patch(body, found, target))
        shown = f"set to the server pods of revision {target.number}"
    output.show(Text(f"flamingodeployment.flamingo.dev/{name} {shown}"))


def _target(found: Sequence[Revision], current: Revision | None, number: int) -> Revision:
    if number:
        earlier = [one for one in found if one.number == number]
    else:
        earlier = [one for one in found if current is None or one.number < current.number]
    if earlier:
        return earlier[-1]
    numbers = ", ".join(str(one.number) for one in found) or "none"
    what = f"revision {number}" if number else "an earlier revision"
    raise PluginError(f"{what} does not exist; existing revisions: {numbers}")


def _patch(body: Json, found: Sequence[Revision], target: Revision) -> Json:
    """Return the merge patch that gives the spec the server pods of a revision."""
    name = body["metadata"]["name"]
    spec = spec_undo.spec_of_revision(name, body["spec"], target)
    if spec is None:
        raise PluginError(f"revision {target.number} stores no spec that this release can use")
    after = read_stored({**body, "spec": spec})
    if revision_history.current_revision(after, found) != target:
        spec = spec_undo.pinned(spec, target)
    version = {"resourceVersion": body["metadata"]["resourceVersion"]}
    return {"metadata": version, "spec": manifest_patch.difference(body["spec"], spec)}
