"""The commands of `kubectl flamingo`: each collects data from the cluster and prints a view.

Exit status: 0; 1 when it failed, with one line on standard error; 2 for a usage error.
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
from flamingo_operator.plugin.cluster import Cluster, NotFoundError, PluginError, connect
from flamingo_operator.plugin.log_follower import LogFollower
from flamingo_operator.plugin.views import ServerRow

DEFAULT_PORT = 8000
UNLIMITED_WIDTH = 1000
"""Columns when the output is not a terminal: nothing is wrapped for a program that reads it."""

app = typer.Typer(
    name="kubectl flamingo",
    help="Inspect and operate fleets of Music Flamingo servers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

CLUSTER = "Cluster"
Kubeconfig = Annotated[
    str | None,
    typer.Option("--kubeconfig", help="Path to the kubeconfig file.", rich_help_panel=CLUSTER),
]
Context = Annotated[
    str | None, typer.Option("--context", help="Kubeconfig context.", rich_help_panel=CLUSTER)
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace.", rich_help_panel=CLUSTER)
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a FlamingoDeployment.")]


@app.command()
def status(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Name of a FlamingoDeployment; default: all."),
    ] = None,
    *,
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="List all namespaces.")
    ] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show the state of deployments, why pods fail, and what to do about it."""
    cluster = connect(kubeconfig, context, namespace)
    if name is not None:
        deployment, pods = cluster.get_deployment(name), cluster.list_server_pods(name)
        failures = _failures(cluster, deployment, pods)
        _print(views.status(deployment, pods, failures, now_s=time.time()))
        return
    deployments = cluster.list_deployments(all_namespaces=all_namespaces)
    if not deployments:
        where = "any namespace" if all_namespaces else f"namespace {cluster.namespace!r}"
        _print(Text(f"No FlamingoDeployments found in {where}."))
        return
    _print(views.overview(deployments, now_s=time.time(), all_namespaces=all_namespaces))


def _failures(cluster: Cluster, deployment: Any, pods: Sequence[Any]) -> list[FailureCount]:
    spec = deployment["spec"]
    warnings = cluster.list_pod_warnings() if pods else []
    found = []
    for pod in pods:
        name = pod["metadata"]["name"]
        failure = diagnose(
            DiagnosisInputs(
                pod=pod,
                now_s=time.time(),
                events=[one for one in warnings if one["involvedObject"]["name"] == name],
                gpu=Gpu.model_validate(spec.get("gpu") or {}),
                startup_deadline_s=(spec.get("server") or {}).get("startupDeadlineSeconds", 1800),
            )
        )
        if failure is not None:
            found.append((name, failure))
    return count_by_cause(found)


@app.command()
def top(
    name: Name,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show the load of each server pod.

    If the pods require API keys, set FLAMINGO_API_KEY to a key with the permission
    observe.
    """
    cluster = connect(kubeconfig, context, namespace)
    cluster.get_deployment(name)
    pods = cluster.list_server_pods(name)
    if not pods:
        _print(Text(f"No server pods found for FlamingoDeployment {name!r}."))
        return
    rows = [ServerRow(pod, _load(cluster, pod), _gpu_product(cluster, pod)) for pod in pods]
    _print(views.top(name, rows, now_s=time.time()))


def _load(cluster: Cluster, pod: Any) -> LoadReport | None:
    """Return a pod's load report; None if it cannot be read."""
    if not pod.get("status", {}).get("podIP"):
        return None
    name = pod["metadata"]["name"]
    ports = pod["spec"]["containers"][0].get("ports") or [{"containerPort": DEFAULT_PORT}]
    try:
        key = os.environ.get("FLAMINGO_API_KEY")
        return LoadReport.model_validate(cluster.pod_stats(name, ports[0]["containerPort"], key))
    except (PluginError, ValidationError) as error:
        _warn(f"cannot read the load of {name}: {str(error).splitlines()[0]}")
        return None


def _gpu_product(cluster: Cluster, pod: Any) -> str:
    node = pod["spec"].get("nodeName")
    if not node:
        return "-"
    try:
        labels = cluster.get_node(node)["metadata"].get("labels") or {}
    except PluginError:
        return str(node)  # not every user may read nodes
    return str(labels.get(names.PRODUCT_LABEL, node))


@app.command()
def plan(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Manifest file; - for standard input.")
    ],
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what applying a manifest would change, without changing anything."""
    for body in _read_manifests(file):
        own_namespace = body.get("metadata", {}).get("namespace")
        cluster = connect(kubeconfig, context, namespace or own_namespace)
        _print(_plan(cluster, body))


def _plan(cluster: Cluster, body: Any) -> RenderableType:
    name = body["metadata"]["name"]
    try:
        stored = cluster.get_deployment(name)
    except NotFoundError:
        stored = None
    before = stored["spec"] if stored is not None else None
    if before is not None and "replicas" not in body["spec"]:
        # An external autoscaler wrote it, and applying the file leaves it alone.
        body = {**body, "spec": {**body["spec"], "replicas": before["replicas"]}}
    result = cluster.dry_run(body, stored)
    after = result["spec"]
    changes = spec_diff.field_changes(before, after) if before is not None else []
    effects = spec_diff.describe_effects(before, after, changes)
    return views.plan(name, changes, effects, _next_actions(cluster, result, stored or {}))


def _next_actions(cluster: Cluster, result: Any, stored: Any) -> list[str]:
    """Return what the operator would do; nothing without permission to list its objects."""
    name = result["metadata"]["name"]
    try:
        listed = {one.name: cluster.list_owned(name, one) for one in kinds.BY_NAME.values()}
    except PluginError as error:
        _warn(f"cannot show the operator's actions: {error}")
        return []
    owned = {kind: items for kind, items in listed.items() if items is not None}
    owned["Pod"] = [one for one in owned["Pod"] if _is_server_pod(one)]
    objects = forecast.ClusterObjects(owned, cluster.list_nodes())
    status = stored.get("status", {})
    return forecast.next_actions(specs.parse(result), status, objects, time.time())


def _is_server_pod(pod: Any) -> bool:
    return bool(pod["metadata"]["labels"].get(names.COMPONENT_LABEL) == "server")


def _read_manifests(file: Path) -> list[Any]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        bodies = [one for one in yaml.safe_load_all(text) if one]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PluginError(f"cannot read {file}: {' '.join(str(error).split())}") from None
    ours = [one for one in bodies if isinstance(one, dict) and one.get("kind") == names.KIND]
    if not ours:
        raise PluginError(f"{file} contains no {names.KIND}")
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
        _print(Text.assemble((prefixes[one], "magenta"), text))


def _follow(follower: LogFollower, prefixes: Mapping[str, str]) -> None:
    for pod, line in follower.lines():
        _print(Text.assemble((prefixes[pod], "magenta"), log_lines.format_line(line)))
    for pod, error in follower.failed.items():
        _warn(f"{pod}: {error}")
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
            _warn(f"{one}: {error}")
    if not any(found.values()):
        _warn("the logs are empty")
    return found


@app.command()
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
    _print(Text(f"pod/{pod} drain {'cancelled' if cancel else 'requested'}"))


def _print(what: RenderableType) -> None:
    is_terminal = sys.stdout.isatty()
    Console(width=None if is_terminal else UNLIMITED_WIDTH, highlight=False).print(
        what, soft_wrap=isinstance(what, Text)
    )


def _warn(message: str) -> None:
    print(f"kubectl flamingo: {message}", file=sys.stderr)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except PluginError as error:
        _warn(str(error))
        raise SystemExit(1) from None
