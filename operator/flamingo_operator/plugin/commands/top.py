"""`kubectl flamingo top`: the load of each server pod."""

import os
import time
from typing import Any

from pydantic import ValidationError
from rich.text import Text

from flamingo_common.service import key_text
from flamingo_common.wire.report import LoadReport
from flamingo_operator.api import names
from flamingo_operator.plugin import documents, output, views
from flamingo_operator.plugin.cluster import Cluster, PluginError, connect
from flamingo_operator.plugin.options import Context, Kubeconfig, Name, Namespace, Output
from flamingo_operator.plugin.views import ServerRow

DEFAULT_PORT = 8000


def top(
    name: Name,
    form: Output = None,
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
    key = _key()
    rows = [
        ServerRow(pod, _load(cluster, pod, key), _gpu_product(cluster, pod))
        for pod in cluster.list_server_pods(name)
    ]
    if form is not None:
        output.write_document(documents.items(map(documents.server_load, rows)), form)
    elif rows:
        output.show(views.top(name, rows, now_s=time.time()))
    else:
        output.show(Text(f"No server pods found for FlamingoDeployment {name!r}."))


def _load(cluster: Cluster, pod: Any, key: str | None) -> LoadReport | None:
    """Return a pod's load report; None if it cannot be read."""
    if not pod.get("status", {}).get("podIP"):
        return None
    name = pod["metadata"]["name"]
    ports = pod["spec"]["containers"][0].get("ports") or [{"containerPort": DEFAULT_PORT}]
    try:
        return LoadReport.model_validate(cluster.pod_stats(name, ports[0]["containerPort"], key))
    except (PluginError, ValidationError) as error:
        output.warn(f"cannot read the load of {name}: {str(error).splitlines()[0]}")
        return None


def _key() -> str | None:
    given = os.environ.get("FLAMINGO_API_KEY")
    try:
        return key_text.clean_from("FLAMINGO_API_KEY", given) if given else None
    except key_text.InvalidKey as error:
        raise PluginError(str(error)) from None


def _gpu_product(cluster: Cluster, pod: Any) -> str:
    node = pod["spec"].get("nodeName")
    if not node:
        return "-"
    try:
        labels = cluster.get_node(node)["metadata"].get("labels") or {}
    except PluginError:
        return str(node)  # not every user may read nodes
    return str(labels.get(names.PRODUCT_LABEL, node))
