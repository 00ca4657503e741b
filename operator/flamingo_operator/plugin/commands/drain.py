"""`kubectl flamingo drain`: have a server pod drained and replaced."""

from typing import Annotated

import typer
from rich.text import Text

from flamingo_operator.api import names
from flamingo_operator.plugin import output
from flamingo_operator.plugin.cluster import PluginError, connect
from flamingo_operator.plugin.options import Context, Kubeconfig, Namespace


def drain(
    pod: Annotated[str, typer.Argument(metavar="POD", help="Name of a server pod.")],
    *,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel a requested drain.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Request that the operator drains a server pod and replaces it."""
    cluster = connect(kubeconfig, context, namespace)
    labels = cluster.get_pod(pod)["metadata"].get("labels") or {}
    if labels.get(names.COMPONENT_LABEL) != "server" or names.DEPLOYMENT_LABEL not in labels:
        raise PluginError(f"pod {pod!r} is not a server pod of a FlamingoDeployment")
    cluster.annotate_pod(pod, {names.DRAIN_ANNOTATION: None if cancel else "true"})
    output.show(Text(f"pod/{pod} drain {'cancelled' if cancel else 'requested'}"))
