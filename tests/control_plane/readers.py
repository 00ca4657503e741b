"""A reader of the documentation who has a cluster: their files, nodes, and what happens there."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from control_plane.deployments import FAILED_SERVER
from control_plane.operators import SERVERS, wait_until
from documents.pages import ROOT
from documents.terminal import Terminal

from flamingo_operator.api.names import ROLLOUT_MOVED

PRODUCTS = [*["NVIDIA-L40S"] * 3, *["NVIDIA-H100-80GB-HBM3"] * 2, "Tesla-T4"]
MEMORY_MIB = {"NVIDIA-L40S": 46068, "NVIDIA-H100-80GB-HBM3": 81559, "Tesla-T4": 15360}
NAMESPACE = "audio"
AVOIDED = 2
"""The number of the node whose GPU fails."""
OTHER_NAMESPACES = ("studio", "team-a")
NUM_NODES = len(PRODUCTS)
INSTALL_THE_OPERATOR = (
    "helm install flamingo-operator helm/flamingo-operator --namespace flamingo-system"
    " --create-namespace"
)
LONG_AGO = "2026-01-01T00:00:00Z"


def environment(cluster: Any, folder: Path) -> dict[str, str]:
    """Return the variables of a reader whose files are in a folder."""
    for name in ("crds", "helm", "install.yaml"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "kubeconfig").write_bytes(cluster.kubeconfig.read_bytes())
    programs = (Path(cluster.kubectl).parent, Path(sys.executable).parent)
    return {
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "HOME": str(folder),
        "KUBECONFIG": str(folder / "kubeconfig"),
        "NO_COLOR": "1",
        # Several services run on one machine.
        "FLAMINGO_OPERATOR_PORT": "0",
        "FLAMINGO_ROUTER_PORT": "0",
    }


def label_nodes(cluster: Any) -> None:
    """Give the simulated nodes the GPUs that the pages speak of."""
    for number, product in enumerate(PRODUCTS):
        labels = {"product": product, "memory": MEMORY_MIB[product]}
        pairs = [f"nvidia.com/gpu.{name}={value}" for name, value in labels.items()]
        cluster.output("label", "--overwrite", "node", f"simulated-{number}", *pairs)
        # By which the operator knows whether a node has rebooted.
        info = {"nodeInfo": {"bootID": f"boot-{number}"}}
        patch_status(cluster, "default", "node", f"simulated-{number}", info)


def pass_deadline(cluster: Any, namespace: str, name: str = "music") -> None:
    """Let the rollout that is under way have begun long ago."""

    def updating() -> str:
        status = cluster.get(namespace, "fd", name).get("status", {})
        new, old = status.get("updateRevision", ""), status.get("currentRevision", "")
        # A fleet that is new has no revision that worked.
        return new if old and new != old else ""

    moved = {"metadata": {"annotations": {ROLLOUT_MOVED: LONG_AGO}}}
    revision = f"{name}-{wait_until(updating, 'a rollout is under way')}"
    cluster.patch(namespace, "controllerrevision", revision, moved)


def patch_status(cluster: Any, namespace: str, kind: str, name: str, status: Any) -> None:
    patch = json.dumps({"status": status})
    given = ("--subresource=status", "--type=merge", f"--patch={patch}")
    cluster.output("-n", namespace, "patch", kind, name, *given)


@contextlib.contextmanager
def meanwhile() -> Iterator[Callable[..., Future[Any]]]:
    """Yield what begins something that happens while a command is running."""
    with ThreadPoolExecutor() as pool:
        begun: list[Future[Any]] = []

        def soon(work: Callable[..., Any], *args: Any) -> Future[Any]:
            begun.append(pool.submit(work, *args))
            return begun[-1]

        yield soon
        for one in begun:
            one.result()


def end_preload(cluster: Any, namespace: str, exit_code: int, message: str = "") -> None:
    """Bind the claim of the cache to a volume, and let the pod of the preload Job end."""
    spec = {
        "capacity": {"storage": "100Gi"},
        "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
        "hostPath": {"path": "/models"},
    }
    volume = {"apiVersion": "v1", "kind": "PersistentVolume"}
    volume |= {"metadata": {"name": f"models-{namespace}"}, "spec": spec}
    cluster.output("create", "-f", "-", body=volume)

    def running() -> str:
        selector = ("-l", "flamingo.dev/component=preload", "--field-selector=status.phase=Running")
        return cluster.output("-n", namespace, "get", "pods", *selector, "-o", "name").strip()

    pod = wait_until(running, "the preload pod runs").removeprefix("pod/")
    _end(cluster, namespace, pod, exit_code, message)


def end_test(cluster: Any, pod: str) -> None:
    """Let the pod of `helm test` end well: the simulated kubelet lets it run."""
    wait_until(lambda: _phase(cluster, pod) == "Running", "the test's pod runs")
    _end(cluster, NAMESPACE, pod, 0)


def _phase(cluster: Any, pod: str) -> str:
    get = ("get", "pod", pod, "--ignore-not-found", "-o", "jsonpath={.status.phase}")
    return cluster.output("-n", NAMESPACE, *get)


def _end(cluster: Any, namespace: str, pod: str, exit_code: int, message: str = "") -> None:
    """Write what a kubelet writes of a pod whose only container ended."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # The back-off of a Job begins when the container finished.
    ended = {"exitCode": exit_code, "message": message, "startedAt": now, "finishedAt": now}
    ended["reason"] = "Error" if exit_code else "Completed"
    (given,) = cluster.get(namespace, "pod", pod)["spec"]["containers"]
    container = {"name": given["name"], "image": given["image"], "imageID": "", "ready": False}
    status = {
        "phase": "Failed" if exit_code else "Succeeded",
        "containerStatuses": [container | {"restartCount": 0, "state": {"terminated": ended}}],
        "conditions": [{"type": "Ready", "status": "False", "reason": "PodCompleted"}],
    }
    patch_status(cluster, namespace, "pod", pod, status)


def renew(cluster: Any, reader: Terminal, gpus: Iterable[int] = range(NUM_NODES)) -> None:
    """Replace the fleet `music` by one whose server pods are on these nodes, one on each."""
    chosen, here = [*gpus], ("-n", NAMESPACE)
    cluster.output(*here, "delete", "--wait", "fd/music")
    for number in range(NUM_NODES):
        num_gpus = 1 if len(chosen) < NUM_NODES else 8
        _set_gpus(cluster, number, num_gpus if number in chosen else 0)
    cluster.output(*here, "apply", "-f", str(reader.folder / "music.yaml"))
    quicken(cluster)
    wait_complete(cluster)
    for number in range(NUM_NODES):
        _set_gpus(cluster, number, 8)


def _set_gpus(cluster: Any, number: int, num_gpus: int) -> None:
    amount = {"nvidia.com/gpu": str(num_gpus)}
    status = {"capacity": amount, "allocatable": amount}
    patch_status(cluster, "default", "node", f"simulated-{number}", status)


def quicken(cluster: Any, ready_s: int = 3, settle_s: int = 5) -> None:
    """Shorten the times of `music`, to what a reader needs to look or to nothing."""
    spec = {"rollout": {"minReadySeconds": ready_s}, "drain": {"settleSeconds": settle_s}}
    cluster.patch(NAMESPACE, "fd", "music", {"spec": spec})


def break_gpu(cluster: Any, reader: Terminal) -> None:
    """Let the GPU of a server pod end it twice."""
    cluster.output("uncordon", "simulated-1")
    renew(cluster, reader, (0, AVOIDED))
    selector = ("-l", SERVERS, f"--field-selector=spec.nodeName=simulated-{AVOIDED}")
    pod = cluster.output("-n", NAMESPACE, "get", "pods", *selector, "-o", "name").strip()
    # Or the simulated kubelet would make it ready again.
    cluster.output("-n", NAMESPACE, "annotate", pod, "ready.simulated/delay=1h")
    message = "CUDA error: uncorrectable ECC error encountered"
    ended = {"exitCode": 10, "reason": "Error", "message": message}
    status = {
        "containerStatuses": [FAILED_SERVER | {"lastState": {"terminated": ended}}],
        "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
    }
    patch_status(cluster, NAMESPACE, "pod", pod.removeprefix("pod/"), status)


def create_fleet(cluster: Any, body: dict[str, Any]) -> None:
    """Create a fleet as its owner did before the page begins; return when it is complete."""
    placed = body | {"metadata": body["metadata"] | {"namespace": NAMESPACE}}
    cluster.output("-n", NAMESPACE, "apply", "-f", "-", body=placed)
    wait_complete(cluster)


def wait_complete(cluster: Any) -> None:
    cluster.output(
        *("-n", NAMESPACE, "wait", "--for=condition=Reconciling=False", "--timeout=60s"),
        "fd/music",
    )


def tidy_up(cluster: Any, reader: Terminal) -> None:
    """Let the next page begin without a fleet, in the namespace of the pages."""
    for name in OTHER_NAMESPACES:
        cluster.call("delete", "namespace", name, "--ignore-not-found", "--wait=false")
    kinds = "fd,secrets,persistentvolumeclaims,resourcequotas"
    cluster.output("-n", NAMESPACE, "delete", kinds, "--all", "--wait=false")
    cluster.output("uncordon", "--selector=simulated=true")
    # The simulated kubelet does not end a pod that its Job still counts.
    ended = {"metadata": {"finalizers": None}}
    for pod in cluster.get(NAMESPACE, "pods")["items"]:
        if "job-name" in pod["metadata"].get("labels", {}):
            cluster.patch(NAMESPACE, "pod", pod["metadata"]["name"], ended)
    cluster.output("-n", NAMESPACE, "wait", "--for=delete", "--timeout=60s", "fd,pods", "--all")
    cluster.output("-n", NAMESPACE, "delete", "events", "--all")
    reader.run(f"kubectl config set-context --current --namespace={NAMESPACE}")


def done(reader: Terminal, text: str) -> None:
    """Do what the page does not say, because another page does, or another reader."""
    status, printed = reader.run(text)
    assert status == 0, printed


def uninstall(reader: Terminal) -> None:
    done(reader, "helm uninstall flamingo-operator -n flamingo-system --wait")
    done(reader, "kubectl delete crd flamingodeployments.flamingo.dev")


def install_again(reader: Terminal) -> None:
    """Install with Helm instead of with kubectl, and have a key."""
    done(reader, "kubectl delete -f install.yaml")
    done(reader, INSTALL_THE_OPERATOR)
    done(reader, "FLEET_KEY=a-key")


def remove_teams(reader: Terminal) -> None:
    """Leave nothing to the next page."""
    for team in ("team-a", "team-b"):
        done(reader, f"helm uninstall operator -n {team} --ignore-not-found")
    done(reader, "kubectl delete namespace team-a team-b")
    done(reader, "kubectl delete crd flamingodeployments.flamingo.dev")


def fill_nodes(cluster: Any) -> None:
    """Let no node take a pod but the one that is avoided."""
    others = [f"simulated-{number}" for number in range(NUM_NODES) if number != AVOIDED]
    cluster.output("cordon", *others)


def count_budget(cluster: Any) -> None:
    """Return when Kubernetes has counted a fleet's server pods, which takes it minutes at first."""

    def is_counted() -> bool:
        # It looks again when the budget changes, and else after ever longer times.
        touched = {"metadata": {"annotations": {"example.com/seen": str(time.monotonic())}}}
        cluster.patch(NAMESPACE, "pdb", "music-servers", touched)
        status = cluster.get(NAMESPACE, "pdb", "music-servers")["status"]
        return status.get("disruptionsAllowed") == 1

    wait_until(is_counted, "the budget allows a disruption")
