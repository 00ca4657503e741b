"""The machine and the code that are measured: processor, cores, commit, versions."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from flamingo_pod.bench.results import MachineInfo


def describe() -> MachineInfo:
    """Return this machine's and this code's description."""
    return MachineInfo(
        cpu=_cpu(),
        num_cores=os.cpu_count() or 1,
        load_average=round(os.getloadavg()[0], 2),
        commit=_commit(),
        torch=metadata.version("torch"),
        transformers=metadata.version("transformers"),
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str:
    """Return the commit, with a + for uncommitted changes; `unknown` without git."""
    here = Path(__file__).parent
    try:
        commit = _git(here, "rev-parse", "--short", "HEAD")
        return commit + ("+" if _git(here, "status", "--porcelain", "--", ".", "..") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
