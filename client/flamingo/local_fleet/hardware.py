"""Detect this machine's GPUs and CPU cores, and how to start the installed services."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from flamingo.local_fleet import plan

NVIDIA_SMI_TIMEOUT_S = 10.0
"""`nvidia-smi` takes seconds while the driver loads, and hangs where the driver is broken."""


def detect_hardware(environ: Mapping[str, str]) -> plan.Hardware:
    """Return the GPUs and cores that a fleet on this machine can use."""
    gpus = plan.visible_gpus(_list_gpus(), environ)
    return plan.Hardware(gpus=gpus, num_cores=_num_cores())


def service_commands() -> plan.ServiceCommands:
    """Return the commands that start this installation's services.

    `-P` keeps the current directory off the module path, where a directory could shadow a
    module of the standard library.
    """
    python = (sys.executable, "-P", "-m")
    return plan.ServiceCommands(
        pod=(*python, "flamingo_pod"),
        router=(*python, "flamingo_router"),
        batches=(*python, "flamingo_batches"),
        client=_command_line(),
    )


def _command_line() -> tuple[str, ...]:
    """Return how a shell starts the command line of this installation."""
    ours = Path(sys.executable).with_name("flamingo")
    if not ours.exists():
        return (sys.executable, "-m", "flamingo")
    found = shutil.which("flamingo")
    return ("flamingo",) if found and Path(found) == ours else (str(ours),)


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _list_gpus() -> str:
    """Return the output of `nvidia-smi -L`; empty where it is missing or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "-L"],
            capture_output=True,
            text=True,
            timeout=NVIDIA_SMI_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
