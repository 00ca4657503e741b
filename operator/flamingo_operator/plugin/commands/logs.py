"""`kubectl flamingo logs`: the logs of the server pods, merged by time."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from rich.text import Text

from flamingo_operator.plugin import log_lines, output
from flamingo_operator.plugin.cluster import Cluster, PluginError, connect
from flamingo_operator.plugin.log_follower import LogFollower
from flamingo_operator.plugin.options import Context, Kubeconfig, Name, Namespace


def logs(  # noqa: PLR0913 - a command's parameters are its options
    name: Name,
    *,
    pod: Annotated[str | None, typer.Option("--pod", help="Show the log of this pod only.")] = None,
    tail: Annotated[
        int, typer.Option("--tail", min=1, help="Number of lines to show from the end of each log.")
    ] = 100,
    previous: Annotated[
        bool,
        typer.Option("--previous", "-p", help="Show the logs of the previous containers."),
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Stream new lines as they are written.")
    ] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show the logs of the server pods, formatted and merged by time."""
    if follow and previous:
        raise PluginError("--follow and --previous cannot be combined")
    cluster = connect(kubeconfig, context, namespace)
    pods = (
        [pod] if pod else [str(one["metadata"]["name"]) for one in cluster.list_server_pods(name)]
    )
    if not pods:
        cluster.get_deployment(name)
        raise PluginError(f"no server pods found for FlamingoDeployment {name!r}")
    prefixes = {one: "" if pod else f"{one.removeprefix(f'{name}-')} " for one in pods}
    if follow:
        _follow(LogFollower(cluster, pods, tail), prefixes)
        return
    for one, text in log_lines.merge_by_time(_logs(cluster, pods, tail, is_previous=previous)):
        output.show(Text.assemble((prefixes[one], "magenta"), text))


def _follow(follower: LogFollower, prefixes: Mapping[str, str]) -> None:
    for pod, line in follower.lines():
        output.show(Text.assemble((prefixes[pod], "magenta"), log_lines.format_line(line)))
    for pod, error in follower.failed.items():
        output.warn(f"{pod}: {error}")
    if len(follower.failed) == len(prefixes):
        raise SystemExit(1)


def _logs(cluster: Cluster, pods: Sequence[str], tail: int, *, is_previous: bool) -> dict[str, str]:
    found = {}
    for one in pods:
        try:
            found[one] = cluster.pod_log(one, tail=tail, is_previous=is_previous)
        except PluginError as error:
            if len(pods) == 1:
                raise
            output.warn(f"{one}: {error}")
    if not any(found.values()):
        output.warn("the logs are empty")
    return found
