"""Our images on a real node: containerd, kubelet and kube-proxy, in a network of their own.

It takes root, some programs, and the folder that `FLAMINGO_KUBE` names, whose
script `cluster` starts a node; by default `shared/kube` beside the repository.
Who lacks one gets the reason printed and the tests skipped.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import images, installed, nodes
from cluster.fleets import Fleet
from cluster.nodes import Cluster
from fakes.wanted import absent

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "runc": "runc",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "make": "make",
}
"""And the Debian package that has it."""


@pytest.fixture(scope="session")
def kube(needs) -> Path:
    """Return the folder that starts nodes, on a machine that can run one."""
    if os.geteuid() != 0:
        absent("a node's container runtime", "run as root, in a container or virtual machine")
    for program, package in PROGRAMS.items():
        needs(program, install=f"Debian: apt install {package}")
    if not any(Path(folder, "bridge").is_file() for folder in ("/usr/lib/cni", "/opt/cni/bin")):
        absent("a container network", "Debian: apt install containernetworking-plugins")
    folder = Path(os.environ.get("FLAMINGO_KUBE") or ROOT.parent / "shared" / "kube")
    if not (folder / "cluster").is_file():
        absent("a Kubernetes node", "set FLAMINGO_KUBE to a folder with a script `cluster`")
    return folder


@pytest.fixture(scope="session")
def built(kube) -> dict[str, str]:
    """Return the name of each of our images."""
    return images.build(kube / "base-image")


@pytest.fixture(scope="session")
def cluster(kube, built) -> Iterator[Cluster]:
    """Yield a cluster with a node that has our images, where the operator is installed."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fc-")))
        started = stack.enter_context(nodes.started(kube / "cluster", folder / "k"))
        images.load(started, built, folder)
        installed.install(started, built)
        yield started


@pytest.fixture(scope="module")
def fleet_in(cluster, tmp_path_factory) -> Iterator[Callable[[str], Fleet]]:
    """Return a namespace for a fleet, whose GPUs are free again when the module is over."""
    with contextlib.ExitStack() as stack:

        def make(namespace: str) -> Fleet:
            installed.make_namespace(cluster, namespace)
            made = Fleet(cluster, namespace, tmp_path_factory.mktemp(namespace))
            stack.callback(made.remove)
            return made

        yield make
