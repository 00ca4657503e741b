"""Our images on a real node: containerd, kubelet and kube-proxy, in a network of their own.

It takes root, some programs, and the folder that `FLAMINGO_KUBE` names, whose
script `cluster` starts a node; by default `shared/kube` beside the repository.
Who lacks one gets the reason printed and the tests skipped.

The node is started once. The operator and the fleet `music` are installed by the commands of the
README, and modules change that fleet one after the other, in the order of their names: each leaves
it with one server. `test_uninstall.py` takes away both, and `test_walkthrough.py` starts anew.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cluster import charts, images, inventory, nodes, readers
from cluster.fleets import Fleet
from cluster.nodes import Cluster
from cluster.outside import Outside, exposed
from cluster.uninstalled import Left, uninstall
from documents import selections
from documents.terminal import Terminal
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
    "unshare": "util-linux",
    "make": "make",
    "curl": "curl",
    "openssl": "openssl",
    "nginx": "nginx-light",
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
def node(kube, built) -> Iterator[Cluster]:
    """Yield a cluster with a node that has our images, and nothing else of ours."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fc-")))
        started = stack.enter_context(nodes.started(kube / "cluster", folder / "k"))
        images.load(started, built, folder)
        yield started


@pytest.fixture(scope="session")
def empty(node) -> inventory.Inventory:
    """Return all that is in the cluster before we install something."""
    return inventory.take(node)


@pytest.fixture(scope="session")
def terminal(node, clips, tmp_path_factory) -> Iterator[Terminal]:
    """Yield the terminal of a reader of the README."""
    folder = tmp_path_factory.mktemp("reader")
    with readers.reading(node, folder, clips["notes.mp3"]) as opened:
        yield opened


@pytest.fixture(scope="session")
def installed(node, empty, terminal) -> str:
    """Install the operator and a fleet as the README does with Helm; return what it answers."""
    return readers.follow(terminal, selections.README_HELM.commands())


@pytest.fixture(scope="session")
def cluster(node, installed) -> Cluster:
    """Return a cluster in which the operator is installed."""
    charts.restrict(node, charts.HOME)
    return node


@pytest.fixture(scope="session")
def music(cluster, tmp_path_factory) -> Fleet:
    """Return the fleet of the README."""
    charts.restrict(cluster, "audio")
    return Fleet(cluster, "audio", tmp_path_factory.mktemp("audio"))


@pytest.fixture(scope="session")
def outside(music, clips, tmp_path_factory) -> Iterator[Outside]:
    """Yield the fleet with an Ingress, to which it was upgraded while it answered."""
    with exposed(music, clips["drums.wav"], tmp_path_factory.mktemp("ingress")) as made:
        yield made


@pytest.fixture(scope="session")
def uninstalled(music, outside, empty, terminal) -> Left:
    """Take away all that was installed: no test that needs it can come after this."""
    terminal.close()  # the next reader forwards the same port
    return uninstall(music, empty)


@pytest.fixture(scope="module")
def fleet_in(cluster, tmp_path_factory) -> Iterator[Callable[[str], Fleet]]:
    """Return a namespace for a fleet, whose GPUs are free again when the module is over."""
    with contextlib.ExitStack() as stack:

        def make(namespace: str) -> Fleet:
            charts.make_namespace(cluster, namespace)
            made = Fleet(cluster, namespace, tmp_path_factory.mktemp(namespace))
            stack.callback(made.remove)
            return made

        yield make
