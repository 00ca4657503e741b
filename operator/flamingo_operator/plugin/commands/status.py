"""`kubectl flamingo status`: the state of deployments, and why pods fail."""

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from flamingo_operator.api.gpu import Gpu
from flamingo_operator.diagnosis.failures import (
    DiagnosisInputs,
    FailureCount,
    count_by_cause,
    diagnose,
)
from flamingo_operator.plugin import documents, output, views
from flamingo_operator.plugin.cluster import Cluster, connect
from flamingo_operator.plugin.options import Context, Kubeconfig, Namespace, Output


def status(  # noqa: PLR0913 - a command's parameters are its options
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Name of a FlamingoDeployment; default: all."),
    ] = None,
    *,
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="List all namespaces.")
    ] = False,
    form: Output = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show the state of deployments, why pods fail, and what to do about it."""
    cluster = connect(kubeconfig, context, namespace)
    if name is not None:
        deployment, pods = cluster.get_deployment(name), cluster.list_server_pods(name)
        failures = [*_failures(cluster, deployment, pods), *views.reported_failures(deployment)]
        if form is not None:
            output.write_document(documents.status(deployment, failures), form)
        else:
            output.show(views.status(deployment, pods, failures, now_s=time.time()))
        return
    deployments = cluster.list_deployments(all_namespaces=all_namespaces)
    if form is not None:
        output.write_document(documents.items(map(documents.status, deployments)), form)
    elif deployments:
        shown = views.overview(deployments, now_s=time.time(), all_namespaces=all_namespaces)
        output.show(shown)
    else:
        where = "any namespace" if all_namespaces else f"namespace {cluster.namespace!r}"
        output.show(Text(f"No FlamingoDeployments found in {where}."))


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
