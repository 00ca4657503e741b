"""Where kubectl, Helm and the rest of Kubernetes' programs are."""

import os
import shutil
import subprocess
from pathlib import Path

from fakes.wanted import absent

ROOT = Path(__file__).parents[2]


def program(name: str, install: str) -> str:
    """Return the path of a program, or skip the test and say how to install it.

    It is looked for in KUBEBUILDER_ASSETS, then on the path, then in what the script `cluster` of
    FLAMINGO_KUBE brings, by default shared/kube beside the repository.
    """
    folders = [os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ["PATH"], _assets()]
    found = shutil.which(name, path=os.pathsep.join(one for one in folders if one))
    if found is None:
        absent(name, install)
    return found


def definitions(group: str) -> list[Path]:
    """Return the CustomResourceDefinitions of another project, or skip the test."""
    found = sorted((_kube() / "crds").glob(f"{group}_*.yaml"))
    if not found:
        absent(f"the kinds of {group}", "set FLAMINGO_KUBE to a folder with crds")
    return found


def _kube() -> Path:
    return Path(os.environ.get("FLAMINGO_KUBE") or ROOT.parent / "shared" / "kube")


def _assets() -> str:
    script = _kube() / "cluster"
    if not script.is_file():
        return ""
    done = subprocess.run([script, "assets"], check=True, capture_output=True, text=True)
    return done.stdout.strip()
