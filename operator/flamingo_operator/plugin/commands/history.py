"""`kubectl flamingo history`: the revisions of the server pods."""

import json
import time
from typing import Annotated, Any

import typer
from rich.text import Text

from flamingo_operator.cluster import observed
from flamingo_operator.plugin import change_views, documents, output, revision_history
from flamingo_operator.plugin.cluster import PluginError, connect, read_stored
from flamingo_operator.plugin.options import (
    Context,
    Kubeconfig,
    Name,
    Namespace,
    Output,
    OutputFormat,
)


def history(  # noqa: PLR0913 - a command's parameters are its options
    name: Name,
    *,
    revision: Annotated[
        int | None,
        typer.Option("--revision", min=1, help="Show the pod template of this revision."),
    ] = None,
    form: Output = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show the revisions of the server pods, or the pod template of one of them."""
    cluster = connect(kubeconfig, context, namespace)
    deployment = read_stored(cluster.get_deployment(name))
    found = cluster.list_revisions(name)
    if revision is not None:
        output.write_document(_template(found, revision), form or OutputFormat.YAML)
        return
    rows = list(revision_history.history(deployment, found, cluster.list_server_pods(name)))
    if form is not None:
        output.write_document(documents.items(map(documents.revision, rows)), form)
    elif rows:
        output.show(change_views.history(rows, now_s=time.time()))
    else:
        output.show(Text(f"No revisions found for FlamingoDeployment {name!r}."))


def _template(found: list[Any], number: int) -> Any:
    for one in found:
        if one["revision"] == number:
            return json.loads(observed.parse_revision(one).template)
    numbers = ", ".join(str(one["revision"]) for one in found) or "none"
    raise PluginError(f"revision {number} does not exist; existing revisions: {numbers}")
