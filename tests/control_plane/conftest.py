"""A real Kubernetes API server, with the CustomResourceDefinition applied.

It comes from `KUBEBUILDER_ASSETS` (a folder with etcd, kube-apiserver and
kubectl, as `setup-envtest use -p path` makes one), or from the folder that
`FLAMINGO_KUBE` names, whose script `cluster` starts and stops one; by default
`shared/kube` beside the repository. Who has neither gets the reason printed and
the tests skipped.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from control_plane.kubectl import CALL_S, Cluster
from control_plane.operators import neighbours, site, wait_until
from fakes.kmock_cluster import KmockCluster
from fakes.metrics_api import GROUP, VERSION, MetricsApi, registration

from flamingo_operator.api.names import PLURAL

ROOT = Path(__file__).parents[2]
CRD = ROOT / "crds/flamingodeployments.yaml"
START_S = 120
QUICK_AUTOSCALER = "kube-controller-manager=--horizontal-pod-autoscaler-sync-period=1s"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fd-")))
        made = stack.enter_context(started(folder / "k"))
        apply_crd(made)
        yield made


def apply_crd(cluster: Cluster) -> None:
    """Apply the CustomResourceDefinition, and wait until it is served."""
    cluster.output("apply", "--server-side", "-f", str(CRD))
    established = ("wait", "--for=condition=Established", "--timeout=20s", "crd", "--all")
    # kubectl fails at once as long as the new object has no conditions at all.
    wait_until(lambda: cluster.call(*established).returncode == 0, "the CRD is established")


@pytest.fixture(scope="session")
def whole_cluster(cluster):
    """Return a cluster with controllers, a scheduler and simulated nodes."""
    if cluster.state is None:
        pytest.skip("only an API server: set FLAMINGO_KUBE for controllers and simulated nodes")
    return cluster


@pytest.fixture(scope="session")
def metrics_api(whole_cluster, tmp_path_factory):
    """Yield the API that serves external metrics to HorizontalPodAutoscalers."""
    api = MetricsApi(tmp_path_factory.mktemp("metrics"))
    with api.running() as port:
        for body in registration("default", port):
            whole_cluster.output("create", "-f", "-", body=body)
        name = f"{VERSION}.{GROUP}"
        whole_cluster.output(
            "wait", "--for=condition=Available", "--timeout=20s", "apiservice", name
        )
        yield api
        whole_cluster.output("delete", "apiservice", name)


@pytest.fixture(scope="module", params=["real", "kmock"])
def any_control_plane(request):
    """Return a real control plane where there is one; and then kmock's."""
    if request.param == "real":
        yield request.getfixturevalue("whole_cluster")
    else:
        with KmockCluster().running() as cluster:
            yield cluster


@pytest.fixture(scope="module")
def control_plane(whole_cluster):
    """Return where a module's operators work."""
    return whole_cluster


@pytest.fixture
def here(control_plane, tmp_path, request):
    """Yield a namespace whose operators the test itself starts."""
    name = re.sub("[^a-z]+", "-", request.node.name)[5:50].strip("-")
    with site(control_plane, name, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def places(control_plane, tmp_path_factory, request):
    """Yield namespaces that one operator looks after, for tests that leave it alone."""
    stem = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    names = [f"{stem}-{number}" for number in range(request.module.NUM_PLACES)]
    with (
        site(control_plane, f"{stem}-hq", tmp_path_factory.mktemp("places")) as first,
        neighbours(first, names) as made,
    ):
        first.start("--no-leader-election", namespaces=",".join(names))
        yield made


@pytest.fixture
def place(places):
    """Yield an unused namespace; its server pods are deleted afterwards, which frees their GPUs."""
    found = places.pop()
    yield found
    for one in found.get(PLURAL)["items"]:
        found.delete(PLURAL, one["metadata"]["name"])


@pytest.fixture
def fleet(place):
    """Return a place where two servers run."""
    place.create({"replicas": 2})
    place.wait_complete(2)
    return place


def started(folder: Path, num_nodes: int = 12) -> contextlib.AbstractContextManager[Cluster]:
    """Return a control plane of its own, without our kind; the folder's path is to be short.

    The simulated nodes are those of the script `cluster`: envtest has none.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        return _from_assets(Path(assets), folder)
    kube = Path(os.environ.get("FLAMINGO_KUBE") or ROOT.parent / "shared" / "kube")
    if (kube / "cluster").is_file():
        return _from_script(kube / "cluster", folder, num_nodes)
    pytest.skip(
        "no Kubernetes API server: set KUBEBUILDER_ASSETS (setup-envtest use -p path) or"
        " FLAMINGO_KUBE (a folder with a script `cluster`)"
    )


@contextlib.contextmanager
def _from_script(script: Path, folder: Path, num_nodes: int) -> Iterator[Cluster]:
    start = [script, "start", folder, "--simulated", str(num_nodes), "--flag", QUICK_AUTOSCALER]
    subprocess.run(start, check=True, timeout=START_S, capture_output=True)
    try:
        assets = subprocess.run([script, "assets"], check=True, capture_output=True, text=True)
        kubectl = f"{assets.stdout.strip()}/kubectl"
        made = Cluster(kubectl, folder / "kubeconfig", folder / "state.json")
        _add_disks(made)
        yield made
    finally:
        subprocess.run([script, "stop", folder], check=True, timeout=START_S, capture_output=True)


def _add_disks(cluster: Cluster) -> None:
    """Give the simulated nodes disk space, which pods request and which they do not state."""
    nodes = json.loads(cluster.output("get", "nodes", "-o", "json"))
    for node in nodes["items"]:
        del node["metadata"]["resourceVersion"]
        for field in ("capacity", "allocatable"):
            node["status"][field].setdefault("ephemeral-storage", "4Ti")
    cluster.output("replace", "--subresource=status", "-f", "-", body=nodes)


@contextlib.contextmanager
def _from_assets(assets: Path, folder: Path) -> Iterator[Cluster]:
    """Start etcd and the API server as envtest does: loopback, one administrator's token."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("KUBEBUILDER_ASSETS needs openssl, for the key that signs service accounts")
    folder.mkdir()
    key, token, (port, client, peer) = folder / "sa.key", secrets.token_hex(), _free_ports(3)
    subprocess.run([openssl, "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    (folder / "tokens").write_text(f"{token},admin,admin,system:masters\n")
    with (
        _running(folder, assets / "etcd", *_etcd_flags(folder, client, peer)),
        _running(folder, assets / "kube-apiserver", *_server_flags(folder, client, port)),
    ):
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(json.dumps(_kubeconfig(port, token)))
        cluster = Cluster(str(assets / "kubectl"), kubeconfig)
        _wait_until_ready(cluster)
        yield cluster


def _etcd_flags(folder: Path, client: int, peer: int) -> list[str]:
    return [
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]


def _server_flags(folder: Path, etcd: int, port: int) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder}/certificates",
        f"--token-auth-file={folder}/tokens",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder}/sa.key",
        f"--service-account-signing-key-file={folder}/sa.key",
        "--disable-admission-plugins=ServiceAccount",
    ]


def _kubeconfig(port: int, token: str) -> dict[str, Any]:
    server = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": server}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }


@contextlib.contextmanager
def _running(folder: Path, program: Path, *flags: str) -> Iterator[None]:
    with (folder / f"{program.name}.log").open("wb") as log:
        process = subprocess.Popen([program, *flags], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=CALL_S)


def _wait_until_ready(cluster: Cluster) -> None:
    deadline_s = time.monotonic() + START_S
    while cluster.call("get", "namespace", "default").returncode != 0:
        if time.monotonic() > deadline_s:
            logs = sorted(cluster.kubeconfig.parent.glob("*.log"))
            pytest.fail("\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in logs))
        time.sleep(0.2)


def _free_ports(num: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(num)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]
