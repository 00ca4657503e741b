"""The API server accepts every manifest in the documentation, with strict validation.

The commands of the pages about clusters and models are run, too.

Kinds of other projects are judged where those are: Gateways in `test_networking.py`; those of KEDA
and Flux nowhere.
"""

import json
import os
from pathlib import Path

import pytest
import yaml
from documents import terminal
from documents.selections import CLUSTER_COMMANDS, MANIFESTS


def manifests():
    for command in MANIFESTS.commands():
        bodies = [body for body in yaml.safe_load_all(command.text) if body]
        yield pytest.param(bodies, id=command.place)


@pytest.fixture(scope="module")
def namespaced(cluster):
    """Return a cluster with the namespaces that the pages use, for a dry run is refused without."""
    for bodies in (case.values[0] for case in manifests()):
        for body in bodies:
            name = body["metadata"].get("namespace")
            if name and cluster.call("get", "namespace", name).returncode != 0:
                cluster.output("create", "namespace", name)
    return cluster


@pytest.mark.parametrize("bodies", list(manifests()))
def test_a_manifest_is_accepted(namespaced, bodies):
    whole = {"apiVersion": "v1", "kind": "List", "items": bodies}
    dry = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-o", "json")
    accepted = json.loads(namespaced.output(*dry, "--force-conflicts", "-f", "-", body=whole))
    assert len(accepted.get("items", [accepted])) == len(bodies)


def test_there_are_manifests():
    kinds = {body["kind"] for case in manifests() for body in case.values[0]}
    assert {"PersistentVolumeClaim", "ResourceQuota", "PriorityClass", "Role"} <= kinds


def test_the_commands_about_clusters_and_models_work(cluster, tmp_path):
    path = os.pathsep.join([str(Path(cluster.kubectl).parent), os.environ["PATH"]])
    environ = {**os.environ, "PATH": path, "KUBECONFIG": str(cluster.kubeconfig)}
    (tmp_path / "hub-token.txt").write_text("hf_example")
    with terminal.opened(tmp_path, environ) as shell:
        for command in CLUSTER_COMMANDS.commands():
            shell.follow(command)
    assert cluster.output("get", "secret", "hub", "--output=jsonpath={.data.token}")
