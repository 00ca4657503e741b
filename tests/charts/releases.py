"""Releases of the operator's chart in a real cluster."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charts.helm import OPERATOR, Helm
from control_plane.kubectl import Cluster
from control_plane.operators import wait_until

from flamingo_operator import crd
from flamingo_operator.api.names import CRD

NAME, NAMESPACE = "flamingo-operator", "flamingo-system"
HERE = ("--namespace", NAMESPACE)
PASSING = {"APIService", "Endpoints", "EndpointSlice", "Event", "Lease", "Pod"}
"""Kinds of objects that Kubernetes makes and removes by itself."""


@dataclass(frozen=True)
class Releases:
    """One of the Helms, as the administrator of a cluster."""

    helm: Helm
    cluster: Cluster

    def call(self, *args: str | Path, values: Mapping[str, Any] | None = None) -> Any:
        """Run Helm; `values` are passed as a file."""
        given = [] if values is None else ["--values=-"]
        stdin = None if values is None else json.dumps(values)
        environ = {"KUBECONFIG": str(self.cluster.kubeconfig)}
        return self.helm.call(*map(str, args), *given, stdin=stdin, **environ)

    def output(self, *args: str | Path, values: Mapping[str, Any] | None = None) -> str:
        """Return the output of a call that must succeed."""
        done = self.call(*args, values=values)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def refusal(self, *args: str | Path, values: Mapping[str, Any] | None = None) -> str:
        """Return the one sentence with which a call is refused."""
        done = self.call(*args, values=values)
        assert done.returncode != 0, f"not refused: {done.stdout}"
        (line,) = (one for one in done.stderr.splitlines() if one.startswith("Error: "))
        return str(line)

    def install(self, chart: Path = OPERATOR, **values: Any) -> str:
        return self.output("install", NAME, chart, *HERE, values=values)

    def upgrade(self, chart: Path, **values: Any) -> str:
        return self.output("upgrade", NAME, chart, *HERE, values=values)

    def uninstall(self, name: str = NAME, namespace: str = NAMESPACE) -> None:
        self.output("uninstall", name, "--namespace", namespace, "--wait")

    @contextlib.contextmanager
    def cleaned_up(self) -> Iterator["Releases"]:
        """Yield itself, and remove what was installed."""
        try:
            yield self
        finally:
            for one in json.loads(self.output("list", "--all-namespaces", "-o", "json")):
                self.uninstall(one["name"], one["namespace"])
            self.cluster.output("delete", "crd", CRD, "--ignore-not-found")


def chart_with(definition: dict[str, Any], version: str, folder: Path) -> Path:
    """Return a copy of the chart, of another version and with another definition."""
    chart = folder / version / OPERATOR.name
    shutil.copytree(OPERATOR, chart)
    (chart / crd.CHART_TEMPLATE.relative_to("helm/flamingo-operator")).write_text(
        crd.to_chart_template(definition)
    )
    file = chart / "Chart.yaml"
    file.write_text(file.read_text().replace("ersion: 0.1.0", f"ersion: {version}"))
    return chart


def new_namespace(cluster: Cluster, name: str) -> None:
    """Make a namespace that lets only restricted pods in, and wait for its account."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    cluster.output("apply", "--server-side", "-f", "-", body=body)
    account = ("-n", name, "get", "serviceaccount/default", "configmap/kube-root-ca.crt")
    wait_until(lambda: cluster.call(*account).returncode == 0, "the namespace is complete")


def wait_served(cluster: Cluster) -> None:
    """Wait until the API server serves FlamingoDeployments."""
    established = ("wait", "--for=condition=Established", "--timeout=20s", f"crd/{CRD}")
    wait_until(lambda: cluster.call(*established).returncode == 0, "the CRD is established")


def everything(cluster: Cluster) -> set[str]:
    """Return the names of all objects in the cluster."""
    listed = cluster.output("api-resources", "--verbs=list", "-o", "name").split()
    kinds = ",".join(kind for kind in listed if kind != "componentstatuses")
    found = json.loads(cluster.output("get", kinds, "--all-namespaces", "-o", "json"))["items"]
    return {
        f"{one['kind']}/{one['metadata'].get('namespace', '')}/{one['metadata']['name']}"
        for one in found
        if one["kind"] not in PASSING
    }
