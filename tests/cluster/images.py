"""Our images, built by `make images` under the names that charts expect, and given to the node."""

import os
import subprocess
import tomllib
from pathlib import Path

from cluster.nodes import Cluster

ROOT = Path(__file__).parents[2]
BASE = "docker.io/library/python:3.11-slim-bookworm"
REGISTRY = "ghcr.io/flamingo-fleet"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NAMES = ("pod", "router", "operator", "batches")
TORCH = "--build-arg TORCH=torch==2.13.0"
"""Whatever build this machine has; the default is that for CUDA, some GB more."""
BUILD_S = 1500


def build(base_image: Path) -> dict[str, str]:
    """Return each image's name; layers of an earlier run are used again."""
    if not _is_there(BASE):
        _run([base_image], "the base image")
    arguments = f"--quiet --isolation chroot --network host --pull=never {TORCH}{_wheels()}"
    _run(["make", "images", "BUILDER=buildah", f"ARGS={arguments}"], "make images")
    return {name: f"{REGISTRY}/{name}:{VERSION}" for name in NAMES}


def load(cluster: Cluster, images: dict[str, str], folder: Path) -> None:
    """Let the node have the images, uncompressed, because that is quicker."""
    for name, image in images.items():
        archive = folder / f"{name}.tar"
        _run(
            ["buildah", "push", "--quiet", image, f"docker-archive:{archive}:{image}"],
            "buildah push",
        )
        cluster.load(archive)
        archive.unlink()


def _wheels() -> str:
    """Return what lets the build see wheels that lie on this machine, such as a torch for CPUs."""
    folder = os.environ.get("PIP_FIND_LINKS", "")
    return f" --volume {folder}:{folder}:ro" if Path(folder).is_absolute() else ""


def _is_there(image: str) -> bool:
    look = ["buildah", "inspect", "--type", "image", image]
    return subprocess.run(look, capture_output=True, check=False).returncode == 0


def _run(command: list[str | Path], what: str) -> None:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    assert done.returncode == 0, f"{what}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
