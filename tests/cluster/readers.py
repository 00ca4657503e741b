"""A reader's terminal in the cluster's network: a checkout, a song, and a user's programs."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cluster.nodes import Cluster
from documents.blocks import Command
from documents.terminal import Terminal, opened

ROOT = Path(__file__).parents[2]
OWN_HOSTS = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')
"""A DNS that knows the names of a test, for one program."""
KIND = """#!/bin/sh
# Stands in for kind, whose node this is not: does the node have each image?
test "$1 $2" = "load docker-image" || exit 2
shift 2
for image in "$@"; do
  {ctr} --namespace=k8s.io images list --quiet "name==$image" | grep --quiet . || {{
    echo "ERROR: image: \\"$image\\" not present locally" >&2; exit 1; }}
done
"""
MAKE = """#!/bin/sh
# `make images` was run when the node got its images.
test "$*" = images
"""


@contextlib.contextmanager
def reading(
    cluster: Cluster, folder: Path, song: bytes, hosts: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Yield a terminal in a folder; what it does to its kubeconfig stays there.

    `hosts` has the address of each name that its programs are to know.
    """
    for name in ("helm", "crds", "install.yaml"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "song.mp3").write_bytes(song)
    shutil.copy(cluster.kubeconfig, folder / "kubeconfig")
    folders = (_programs(cluster, folder), Path(sys.executable).parent)
    environ = {
        **cluster.environ,
        "HOME": str(folder),
        "KUBECONFIG": str(folder / "kubeconfig"),
        "PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]]),
    }
    known = {"localhost": "127.0.0.1", **(hosts or {})}
    lines = (f"{address} {name}\n" for name, address in known.items())
    (folder / "hosts").write_text("".join(lines))
    enter = (*cluster.enter, *OWN_HOSTS, str(folder / "hosts"))
    with opened(folder, environ, enter) as terminal:
        yield terminal


def follow(terminal: Terminal, commands: Sequence[Command]) -> str:
    """Do as a page says; return what the last command prints."""
    for command in commands[:-1]:
        terminal.follow(command)
    status, printed = terminal.run(commands[-1].text)
    assert status == 0, printed
    return printed


def _programs(cluster: Cluster, folder: Path) -> Path:
    programs = folder / "bin"
    programs.mkdir()
    for name in ("kubectl", "helm"):
        (programs / name).symlink_to(cluster.programs / name)
    ctr = f"{cluster.programs}/ctr --address={cluster.folder}/containerd.sock"
    for name, text in {"kind": KIND.format(ctr=ctr), "make": MAKE}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return programs
