"""Look at this machine: GPUs, cores, and the interpreter that runs the services."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from flamingo.local_fleet import plan

ASK_S = 10.0
"""`nvidia-smi` takes seconds where the driver is not loaded yet, and for ever where it hangs."""


def here(environ: Mapping[str, str]) -> plan.Machine:
    """Return what a fleet started here may use."""
    return plan.Machine(gpus=plan.visible_gpus(_listing(), environ), num_cores=_num_cores())


def services() -> plan.Programs:
    """Return how this installation starts its services.

    `-P` keeps the current folder off the module path: a folder named like one of
    the standard library's modules would break the child.
    """
    python = (sys.executable, "-P", "-m")
    return plan.Programs(pod=(*python, "flamingo_pod"), router=(*python, "flamingo_router"))


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _listing() -> str:
    """Return what `nvidia-smi -L` says; nothing where it is missing or does not work."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        told = subprocess.run(
            [program, "-L"], capture_output=True, text=True, timeout=ASK_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout
