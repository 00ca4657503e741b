"""A cluster with a real node, and how a test gets into its network."""

import contextlib
import ctypes
import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from control_plane.kubectl import CALL_S, Kubectl

NUM_GPUS = 3
START_S = 180
HELM_S = 600
CLONE_NEWNET = 0x40000000

T = TypeVar("T")


@dataclass(frozen=True)
class Cluster(Kubectl):
    """A node's cluster, from outside its network."""

    script: Path
    folder: Path
    programs: Path
    """Where `kubectl` and `ctr` are."""

    @property
    def kubectl(self) -> str:
        """A kubectl that enters the network by itself."""
        return str(self.folder / "kubectl")

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def helm(self, *args: str, body: object = None) -> str:
        """Return what Helm prints, which must succeed; `body` is what `--values -` reads."""
        done = subprocess.run(
            [*self.enter, str(self.programs / "helm"), *args, f"--kubeconfig={self.kubeconfig}"],
            env=self.environ,
            input=None if body is None else json.dumps(body),
            capture_output=True,
            text=True,
            timeout=HELM_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def environ(self) -> dict[str, str]:
        """What programs find: Helm's own files are the cluster's, not the user's."""
        helm = {f"HELM_{one}_HOME": f"{self.folder}/helm" for one in ("CACHE", "CONFIG", "DATA")}
        return {**os.environ, **helm}

    @property
    def network(self) -> str:
        return "/run/netns/" + json.loads((self.folder / "state.json").read_text())["netns"]

    @property
    def node_address(self) -> str:
        """Where pods reach what listens in the cluster's network."""
        path = "{.items[0].status.addresses[0].address}"
        return self.output("get", "nodes", f"--output=jsonpath={path}")

    @property
    def enter(self) -> list[str]:
        """What to put before a command that is to run in the cluster's network."""
        return ["nsenter", f"--net={self.network}"]

    def tagged(self, image: str, name: str) -> str:
        """Give one of the node's images another name too, and return it."""
        ctr = [self.programs / "ctr", f"--address={self.folder}/containerd.sock"]
        tag = [*ctr, "--namespace=k8s.io", "images", "tag", image, name]
        subprocess.run(tag, check=True, timeout=CALL_S, capture_output=True)
        return name

    def load(self, archive: Path) -> None:
        """Give the node an archive's images."""
        subprocess.run([self.script, "load", self.folder, archive], check=True, timeout=START_S)

    def inside(self, work: Callable[[], T]) -> T:
        """Return what `work` returns in the cluster's network: a thread has one of its own."""
        done: Future[T] = Future()
        thread = Thread(target=self._entered, args=(work, done))
        thread.start()
        thread.join()
        return done.result()

    def _entered(self, work: Callable[[], T], done: "Future[T]") -> None:
        try:
            enter_network(self.network)
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)


def enter_network(path: str) -> None:
    """Put this thread, and those that it will start, into a network namespace."""
    with open(path, "rb") as file:  # noqa: PTH123 - a name space is no regular file
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)


@contextlib.contextmanager
def started(script: Path, folder: Path) -> Iterator[Cluster]:
    """Yield a cluster with one node, which claims to have GPUs."""
    command: list[Any] = [script, "start", folder, "--node", "--gpus", str(NUM_GPUS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        assets = subprocess.run([script, "assets"], check=True, capture_output=True, text=True)
        made = Cluster(script, folder, Path(assets.stdout.strip()))
        _write_kubectl(made)
        yield made
    finally:
        subprocess.run([script, "stop", folder], check=True, timeout=START_S)


def _write_kubectl(cluster: Cluster) -> None:
    command = [*cluster.enter, f"{cluster.programs}/kubectl"]
    file = Path(cluster.kubectl)
    file.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    file.chmod(0o755)
