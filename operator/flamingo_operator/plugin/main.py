"""The command `kubectl-flamingo`, which kubectl finds on the path as `kubectl flamingo`.

Exit status: 0; 1 when it failed, with one line on standard error; 2 when it was
called wrongly.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console, RenderableType
from rich.text import Text

from flamingo_common.wire.report import LoadReport
from flamingo_operator.api import names
from flamingo_operator.api import spec as specs
from flamingo_operator.api.server import Gpu
from flamingo_operator.cluster import kinds
from flamingo_operator.diagnosis.failures import (
    DiagnosisInputs,
    FailureCount,
    count_by_cause,
    diagnose,
)
from flamingo_operator.plugin import forecast, log_lines, spec_diff, views
from flamingo_operator.plugin.cluster import Cluster, NotFound, PluginError, connect
from flamingo_operator.plugin.log_follower import LogFollower
from flamingo_operator.plugin.views import ServerRow

DEFAULT_PORT = 8000
UNBOUNDED_WIDTH = 1000

app = typer.Typer(
    name="kubectl flamingo",
    help="Look after fleets of Music Flamingo servers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

CLUSTER = "Cluster"
Kubeconfig = Annotated[
    str | None, typer.Option("--kubeconfig", help="Whose cluster.", rich_help_panel=CLUSTER)
]
Context = Annotated[
    str | None, typer.Option("--context", help="Which cluster.", rich_help_panel=CLUSTER)
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Which part.", rich_help_panel=CLUSTER)
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A FlamingoDeployment.")]


@app.command()
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A FlamingoDeployment; default: all.")
    ] = None,
    *,
    everywhere: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="Of every namespace.")
    ] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say how fleets are, what fails, and what to do about it."""
    cluster = connect(kubeconfig, context, namespace)
    if name is not None:
        deployment, pods = cluster.deployment(name), cluster.pods(name)
        failures = _failures(cluster, deployment, pods)
        _show(views.status(deployment, pods, failures, now_s=time.time()))
        return
    found = cluster.deployments(is_everywhere=everywhere)
    if not found:
        where = "any namespace" if everywhere else f"namespace {cluster.namespace!r}"
        _show(Text(f"no FlamingoDeployment in {where}"))
        return
    _show(views.overview(found, now_s=time.time(), is_everywhere=everywhere))


def _failures(cluster: Cluster, deployment: Any, pods: Sequence[Any]) -> list[FailureCount]:
    spec = deployment["spec"]
    warnings = cluster.warnings() if pods else []
    found = []
    for pod in pods:
        name = pod["metadata"]["name"]
        sight = DiagnosisInputs(
            pod=pod,
            now_s=time.time(),
            events=[one for one in warnings if one["involvedObject"]["name"] == name],
            gpu=Gpu.model_validate(spec.get("gpu") or {}),
            startup_deadline_s=(spec.get("server") or {}).get("startupDeadlineSeconds", 1800),
        )
        why = diagnose(sight)
        if why is not None:
            found.append((name, why))
    return count_by_cause(found)


@app.command()
def top(
    name: Name,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show each server of a fleet, and how much it has to do.

    Where the fleet asks for keys, FLAMINGO_API_KEY must hold one that may observe.
    """
    cluster = connect(kubeconfig, context, namespace)
    cluster.deployment(name)
    pods = cluster.pods(name)
    if not pods:
        _show(Text(f"{name} has no servers"))
        return
    servers = [ServerRow(pod, _load(cluster, pod), _gpu(cluster, pod)) for pod in pods]
    _show(views.top(name, servers, now_s=time.time()))


def _load(cluster: Cluster, pod: Any) -> LoadReport | None:
    """Return what a pod says of its load; None when it says nothing that can be read."""
    if not pod.get("status", {}).get("podIP"):
        return None
    ports = pod["spec"]["containers"][0].get("ports") or [{"containerPort": DEFAULT_PORT}]
    try:
        key = os.environ.get("FLAMINGO_API_KEY")
        told = cluster.stats(pod["metadata"]["name"], ports[0]["containerPort"], key)
        return LoadReport.model_validate(told)
    except (PluginError, ValidationError) as error:
        _note(f"{pod['metadata']['name']} does not tell its load: {str(error).splitlines()[0]}")
        return None


def _gpu(cluster: Cluster, pod: Any) -> str:
    node = pod["spec"].get("nodeName")
    if not node:
        return "-"
    try:
        labels = cluster.node(node)["metadata"].get("labels") or {}
    except PluginError:
        return str(node)  # nodes are often not for everyone to see
    return str(labels.get(names.PRODUCT_LABEL, node))


@app.command()
def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A manifest; - for stdin.")],
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Say what applying a FlamingoDeployment would change, and change nothing."""
    bodies = _manifests(file)
    for body in bodies:
        own = body.get("metadata", {}).get("namespace")
        cluster = connect(kubeconfig, context, namespace or own)
        _show(_plan(cluster, body))


def _plan(cluster: Cluster, body: Any) -> RenderableType:
    name = body["metadata"]["name"]
    try:
        stored = cluster.deployment(name)
    except NotFound:
        stored = None
    before = stored["spec"] if stored is not None else None
    if before is not None and "replicas" not in body["spec"]:
        # Whoever scales from outside wrote it, and applying the file leaves it alone.
        body = {**body, "spec": {**body["spec"], "replicas": before["replicas"]}}
    tried = cluster.tried(body, stored)
    after = tried["spec"]
    found = spec_diff.changes(before, after) if before is not None else []
    effects = spec_diff.effects(before, after, found)
    return views.plan(name, found, effects, _actions(cluster, tried, stored or {}))


def _actions(cluster: Cluster, tried: Any, stored: Any) -> list[str]:
    """Return what the operator would do; nothing where one may not see what there is."""
    name = tried["metadata"]["name"]
    try:
        seen = {one.name: cluster.made_for(name, one) for one in kinds.BY_NAME.values()}
    except PluginError as error:
        _note(f"what the operator would do cannot be told: {error}")
        return []
    there = {kind: items for kind, items in seen.items() if items is not None}
    there["Pod"] = [one for one in there["Pod"] if _is_server(one)]
    status = stored.get("status", {})
    return forecast.actions(specs.parse(tried), status, there, cluster.nodes(), time.time())


def _is_server(pod: Any) -> bool:
    return bool(pod["metadata"]["labels"].get(names.COMPONENT_LABEL) == "server")


def _manifests(file: Path) -> list[Any]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        bodies = [one for one in yaml.safe_load_all(text) if one]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PluginError(f"cannot read {file}: {' '.join(str(error).split())}") from None
    ours = [one for one in bodies if isinstance(one, dict) and one.get("kind") == names.KIND]
    if not ours:
        raise PluginError(f"{file} has no {names.KIND}")
    for body in ours:
        try:
            specs.parse(body)
        except specs.SpecError as error:
            raise PluginError(f"{file}: {'; '.join(error.errors)}") from None
    return ours


@app.command()
def logs(  # noqa: PLR0913 - a command's parameters are its options
    name: Name,
    *,
    pod: Annotated[str | None, typer.Option("--pod", help="One server's only.")] = None,
    tail: Annotated[int, typer.Option("--tail", min=1, help="Last lines of each server.")] = 100,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="Of the containers before the last restart.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with each new line, as it comes.")
    ] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show the servers' logs, readable and in the order of their times."""
    if follow and previous:
        raise PluginError("a container that has ended writes nothing more: drop --follow")
    cluster = connect(kubeconfig, context, namespace)
    chosen = [pod] if pod else [str(one["metadata"]["name"]) for one in cluster.pods(name)]
    if not chosen:
        cluster.deployment(name)
        raise PluginError(f"{name} has no servers")
    start = {one: "" if pod else f"{one.removeprefix(f'{name}-')} " for one in chosen}
    if follow:
        _follow(LogFollower(cluster, chosen, tail), start)
        return
    for one, text in log_lines.merged(_logs(cluster, chosen, tail, is_previous=previous)):
        _show(Text.assemble((start[one], "magenta"), text))


def _follow(following: LogFollower, start: Mapping[str, str]) -> None:
    for one, line in following.lines():
        _show(Text.assemble((start[one], "magenta"), log_lines.readable(line)))
    for one, why in following.failed.items():
        _note(f"{one}: {why}")
    if len(following.failed) == len(start):
        raise SystemExit(1)


def _logs(
    cluster: Cluster, chosen: Sequence[str], tail: int, *, is_previous: bool
) -> dict[str, str]:
    found = {}
    for one in chosen:
        try:
            found[one] = cluster.log(one, tail=tail, is_previous=is_previous)
        except PluginError as error:
            if len(chosen) == 1:
                raise
            _note(f"{one}: {error}")
    if not any(found.values()):
        _note("no server has written a line yet")
    return found


@app.command()
def drain(
    pod: Annotated[str, typer.Argument(metavar="POD", help="A server's pod.")],
    *,
    cancel: Annotated[bool, typer.Option("--cancel", help="Take the wish back.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Ask the operator to drain one server, and to replace it."""
    cluster = connect(kubeconfig, context, namespace)
    labels = cluster.pod(pod)["metadata"].get("labels") or {}
    if labels.get(names.COMPONENT_LABEL) != "server" or names.DEPLOYMENT_LABEL not in labels:
        raise PluginError(f"pod {pod!r} is no server of a FlamingoDeployment")
    cluster.annotate(pod, {names.DRAIN_ANNOTATION: None if cancel else "true"})
    _show(Text(f"{pod} stays" if cancel else f"{pod} drains; watch it: kubectl flamingo status"))


def _show(what: RenderableType) -> None:
    is_terminal = sys.stdout.isatty()
    Console(width=None if is_terminal else UNBOUNDED_WIDTH, highlight=False).print(
        what, soft_wrap=isinstance(what, Text)
    )


def _note(message: str) -> None:
    print(f"kubectl flamingo: {message}", file=sys.stderr)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except PluginError as error:
        _note(str(error))
        raise SystemExit(1) from None
