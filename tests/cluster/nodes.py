"""A cluster with a real node, and how a test gets into its network."""

import contextlib
import ctypes
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from control_plane.kubectl import Kubectl

NUM_GPUS = 4
START_S = 180
CLONE_NEWNET = 0x40000000

T = TypeVar("T")


@dataclass(frozen=True)
class Cluster(Kubectl):
    """A node's cluster, from outside its network."""

    script: Path
    folder: Path
    kubectl: str
    """A kubectl that enters the network by itself."""

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def network(self) -> str:
        return "/run/netns/" + json.loads((self.folder / "state.json").read_text())["netns"]

    @property
    def enter(self) -> list[str]:
        """What to put before a command that is to run in the cluster's network."""
        return ["nsenter", f"--net={self.network}"]

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
        yield Cluster(script, folder, str(_kubectl(script, folder)))
    finally:
        subprocess.run([script, "stop", folder], check=True, timeout=START_S)


def _kubectl(script: Path, folder: Path) -> Path:
    assets = subprocess.run([script, "assets"], check=True, capture_output=True, text=True)
    network = json.loads((folder / "state.json").read_text())["netns"]
    entering = folder / "kubectl"
    entering.write_text(
        f'#!/bin/sh\nexec nsenter --net=/run/netns/{network} {assets.stdout.strip()}/kubectl "$@"\n'
    )
    entering.chmod(0o755)
    return entering
