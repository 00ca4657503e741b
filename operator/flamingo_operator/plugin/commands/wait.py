"""`kubectl flamingo wait`: wait until a deployment is ready, rolled out or deleted."""

import time
from typing import Annotated, Any

import typer
from rich.text import Text

from flamingo_operator.plugin import output, wait_goals
from flamingo_operator.plugin.cluster import Cluster, NotFoundError, PluginError, connect
from flamingo_operator.plugin.options import Context, Kubeconfig, Name, Namespace
from flamingo_operator.plugin.wait_goals import Goal, Reached

POLL_S = 1.0


def wait(  # noqa: PLR0913 - a command's parameters are its options
    name: Name,
    *,
    goal: Annotated[Goal, typer.Option("--for", help="What to wait for.")] = Goal.READY,
    timeout: Annotated[
        str, typer.Option("--timeout", help="How long to wait, such as 90s or 30m; 0s: forever.")
    ] = "30m",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Wait until a deployment is ready, until its rollout is complete, or until it is deleted.

    The rollout includes changes of the number of server pods and of the routers. If it has
    failed, the command ends at once, with exit status 1.
    """
    try:
        timeout_s = wait_goals.parse_duration(timeout)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from None
    cluster = connect(kubeconfig, context, namespace)
    ends_s = time.monotonic() + (timeout_s or float("inf"))
    shown = ""
    while True:
        reached = wait_goals.progress(_find(cluster, name), goal)
        if reached.is_failed:
            raise PluginError(f"{name}: {reached.message}")
        if reached.message != shown:
            output.show(_line(name, reached))
        if reached.is_done:
            return
        if time.monotonic() >= ends_s:
            raise PluginError(f"{name}: not {goal} within {timeout}: {reached.message}")
        shown = reached.message
        time.sleep(min(POLL_S, max(0.0, ends_s - time.monotonic())))


def _find(cluster: Cluster, name: str) -> Any:
    try:
        return cluster.get_deployment(name)
    except NotFoundError:
        return None


def _line(name: str, reached: Reached) -> Text:
    return Text(f"{name}: {reached.message}", "green" if reached.is_done else "")
