"""`kubectl flamingo plan`: what applying a manifest would change, and what would be done then.

Exit status: 0 if nothing would change, 1 if something would, and more if it failed, as
`kubectl diff`.
"""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
import yaml
from rich.console import Group
from rich.text import Text

from flamingo_operator.api import names
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.aliases import claimed_alias
from flamingo_operator.forecast import Forecast
from flamingo_operator.plugin import (
    change_views,
    documents,
    field_hints,
    manifest_patch,
    observation,
    output,
    spec_diff,
)
from flamingo_operator.plugin.change_views import PlannedChange
from flamingo_operator.plugin.cluster import (
    Cluster,
    NotFoundError,
    PluginError,
    connect,
    read_stored,
)
from flamingo_operator.plugin.observation import ClusterObjects
from flamingo_operator.plugin.options import Context, Kubeconfig, Namespace, Output

CHANGED, FAILED = 1, 2

Json: TypeAlias = Mapping[str, Any]


def plan(  # noqa: PLR0913, PLR0917 - typer reads options from parameters
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="Manifest file; - for standard input.", show_default=False
        ),
    ] = None,
    filename: Annotated[
        Path | None,
        typer.Option("--filename", "-f", metavar="FILE", help="The same, as kubectl has it."),
    ] = None,
    form: Output = None,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what applying a manifest would change, without changing anything.

    The exit status is 0 if nothing would change, 1 if something would, and greater than 1
    if it failed.
    """
    path = _one_of(file, filename)
    try:
        found = []
        for body in _read_manifests(path):
            own_namespace = body.get("metadata", {}).get("namespace")
            cluster = connect(kubeconfig, context, namespace or own_namespace)
            found.append(_plan(cluster, body, path))
    except PluginError as error:
        output.warn(str(error))
        raise SystemExit(FAILED) from None
    if form is not None:
        shown = [documents.plan(one.deployment, one.changes, one.expected) for one in found]
        output.write_document(documents.items(shown), form)
    else:
        for number, one in enumerate(found):
            output.show(Group(*([Text()] if number else []), change_views.plan(one)))
    if any(one.changes for one in found):
        raise SystemExit(CHANGED)


def _one_of(file: Path | None, filename: Path | None) -> Path:
    given = [one for one in (file, filename) if one is not None]
    if len(given) != 1:
        raise typer.BadParameter("give one manifest file: FILE or -f FILE", param_hint="FILE")
    return given[0]


def _plan(cluster: Cluster, body: Json, file: Path) -> PlannedChange:
    try:
        stored = cluster.get_deployment(body["metadata"]["name"])
    except NotFoundError:
        stored = None
    try:
        result = _dry_run(cluster, body, stored)
    except PluginError as error:
        raise PluginError(f"{file}: {field_hints.with_hints(str(error))}") from None
    before = stored or {"metadata": {}, "spec": {}}
    name = result["metadata"]["name"]
    return PlannedChange(
        deployment=result,
        is_new=stored is None,
        changes=spec_diff.object_changes(before, result),
        causes=spec_diff.template_changes(name, before["spec"], result["spec"]) if stored else (),
        expected=_forecast(cluster, result, stored or {}),
    )


def _dry_run(cluster: Cluster, body: Json, stored: Json | None) -> Json:
    if stored is None:
        return cluster.dry_run_create(body)
    name, manager = body["metadata"]["name"], manifest_patch.server_side_manager(stored)
    if manager is not None:
        return cluster.dry_run_apply(name, body, manager)
    return cluster.dry_run_patch(name, manifest_patch.apply_patch(stored, body))


def _forecast(cluster: Cluster, result: Json, stored: Json) -> Forecast | None:
    """Return what the operator would do; None without permission to list its objects."""
    try:
        objects = _list_objects(cluster, result)
        deployment = read_stored(result)
    except PluginError as error:
        output.warn(f"cannot forecast what the operator would do: {error}")
        return None
    return observation.forecast_of(deployment, stored.get("status", {}), objects, time.time())


def _list_objects(cluster: Cluster, result: Json) -> ClusterObjects:
    name, alias = result["metadata"]["name"], claimed_alias(result)
    listed = {one.name: cluster.list_owned(name, one) for one in kinds.BY_NAME.values()}
    owned = {kind: items for kind, items in listed.items() if items is not None}
    owned["Pod"] = [one for one in owned["Pod"] if _is_server_pod(one)]
    return ClusterObjects(
        owned,
        cluster.list_nodes(),
        cluster.list_deployments() if alias else (),
        cluster.find_service(alias) if alias else None,
    )


def _is_server_pod(pod: Json) -> bool:
    return bool(pod["metadata"]["labels"].get(names.COMPONENT_LABEL) == "server")


def _read_manifests(file: Path) -> list[Json]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        bodies = [one for one in yaml.safe_load_all(text) if one]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PluginError(f"cannot read {file}: {' '.join(str(error).split())}") from None
    bodies = [item for one in bodies for item in _items(one)]
    ours: list[Json] = [
        one for one in bodies if isinstance(one, dict) and one.get("kind") == names.KIND
    ]
    if not ours:
        raise PluginError(f"{file} contains no {names.KIND}")
    for one in ours:
        metadata = one.get("metadata")
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
            raise PluginError(f"{file}: metadata.name is required: set the name of the object")
    return ours


def _items(body: Any) -> list[Any]:
    """Return the objects of a list, or the one object."""
    is_list = isinstance(body, dict) and isinstance(body.get("items"), list)
    return body["items"] if is_list else [body]
