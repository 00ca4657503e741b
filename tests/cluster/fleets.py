"""A fleet of containers in a namespace: what `control_plane` asks of one, and its answers."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cluster.nodes import Cluster
from control_plane.operators import Site, wait_until

from flamingo_operator.api.names import COMPONENT_LABEL

NAME = "music"
BASE = {
    "drain": {"settleSeconds": 2, "deadlineSeconds": 300},
    "rollout": {"minReadySeconds": 0, "surgePendingSeconds": 10},
    # Two threads on two busy cores wait for each other.
    "server": {"env": [{"name": "OMP_NUM_THREADS", "value": "1"}]},
}
LEAVE_S = 90
CHANGE_S = 240


class Fleet(Site):
    """A namespace; the operator of the whole cluster looks after it."""

    cluster: Cluster

    @property
    def address(self) -> str:
        """The Service's; names are for those who live there."""
        return f"http://{self.get('service', NAME)['spec']['clusterIP']}"

    def launch(self, spec: dict[str, Any] | None = None) -> None:
        """Create it; return when it is complete."""
        self.create({**BASE, **(spec or {})})
        self.wait_complete((spec or {}).get("replicas", 1))

    def wait_complete(self, num: int, *, within_s: float = CHANGE_S) -> None:
        """Return when `num` servers are as wanted: here they start, which takes its time."""
        super().wait_complete(num, within_s=within_s)

    def plugin(self, *args: str, **environ: str) -> str:
        """Return what `kubectl flamingo` says."""
        program = "from flamingo_operator.plugin.main import main; main()"
        command = [*self.cluster.enter, sys.executable, "-P", "-c", program, *args]
        command += ["-n", self.namespace, f"--kubeconfig={self.cluster.kubeconfig}"]
        done = subprocess.run(
            command,
            env={**os.environ, "NO_COLOR": "1", **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def remove(self) -> None:
        """Delete it; return when its pods are gone."""
        self.cluster.call("-n", self.namespace, "delete", "fd", "--all")
        self.cluster.call("delete", "namespace", self.namespace, "--wait=false")
        # Nobody asks any more: what is left of a grace period is not worth waiting for.
        self.cluster.call(
            "-n", self.namespace, "delete", "pods", "--all", "--grace-period=1", "--wait=false"
        )
        wait_until(lambda: not self._has_pods(), "its pods are gone", within_s=LEAVE_S)

    def _has_pods(self) -> bool:
        return bool(self.get("pods")["items"])

    def names(self) -> dict[str, str]:
        """Return each server's unique id, by its name."""
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in self.pods()}

    def routers(self) -> list[dict[str, Any]]:
        """Return the router pods."""
        found = self.get("pods")["items"]
        return [pod for pod in found if pod["metadata"]["labels"].get(COMPONENT_LABEL) == "router"]

    def num_ready_routers(self) -> int:
        return int(self.get("deployment", f"{NAME}-router")["status"].get("readyReplicas", 0))

    def num_restarts(self, pod: dict[str, Any]) -> int:
        """Return how often the container of a pod was started again."""
        (container,) = self.get("pod", pod["metadata"]["name"])["status"]["containerStatuses"]
        return int(container["restartCount"])

    def images_of(self, component: str) -> set[str]:
        """Return what the pods of a component run."""
        return {
            one["image"]
            for pod in self.get("pods")["items"]
            for one in pod["spec"]["containers"]
            if pod["metadata"]["labels"].get(COMPONENT_LABEL) == component
        }


def process_of(pod: dict[str, Any]) -> int:
    """Return the process that is a pod's container, on the node: which is this machine."""
    uid = pod["metadata"]["uid"]
    (found,) = [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if uid in _text(folder / "cgroup") and _is_first(_text(folder / "status"))
    ]
    return found


def _is_first(status: str) -> bool:
    """Whether a process is the first of its container, and no decoder or pause."""
    facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    numbers = facts.get("NSpid", "").split()
    return numbers[1:] == ["1"] and facts["Name"].strip() != "pause"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended while we looked
        return ""
