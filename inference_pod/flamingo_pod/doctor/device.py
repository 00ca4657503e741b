"""The GPU, its driver, and whether the model fits into what memory there is."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from flamingo_common.service.checks import Check, failed, ok, warning
from flamingo_pod.weights.folder import FolderContents

QUERY = "name,driver_version,memory.total,compute_cap"
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
BFLOAT16_SINCE = (8, 0)
OTHERS_BYTES = 4 * 2**30
"""Keys and values, cached clips, and what a step works in, at the defaults."""
NVIDIA_SMI_S = 20


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the model would be, and as what."""

    device: str
    dtype: str


def choose_placement(device: str, dtype: str) -> Placement:
    """Return what `auto` means here, as the pod decides it."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    return Placement(device, dtype)


def checks(placement: Placement) -> Iterator[Check]:
    """Yield what the GPU is, whether torch can use it, and whether it knows the type."""
    seen = _seen_by_driver()
    if torch.cuda.is_available():
        yield ok("GPU", f"{torch.cuda.get_device_name()}; {seen or 'nvidia-smi is not here'}")
        yield _dtype(placement)
    elif seen:
        build = torch.version.cuda
        why = f"this torch is built for CUDA {build}" if build else "this torch is a CPU build"
        advice = "install a torch build that the driver can run: pytorch.org/get-started"
        yield failed("GPU", f"{seen}, but {why} and cannot use it", advice)
    elif placement.device == "cuda":
        yield failed(
            "GPU", "none is seen here", "start the container with GPUs, or use --device cpu"
        )
    else:
        yield warning("GPU", "none", "the 8B model wants one; the tiny models do without")


def _seen_by_driver() -> str | None:
    if (program := shutil.which("nvidia-smi")) is None:
        return None
    done = subprocess.run(
        [program, f"--query-gpu={QUERY}", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=NVIDIA_SMI_S,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return None
    name, driver, memory, capability = (part.strip() for part in lines[0].split(","))
    many = f"{len(lines)} x " if len(lines) > 1 else ""
    return f"{many}{name}, {memory}, driver {driver}, capability {capability}"


def _dtype(placement: Placement) -> Check:
    capability = torch.cuda.get_device_capability()
    if placement.dtype == "bfloat16" and capability < BFLOAT16_SINCE:
        message = f"bfloat16 is emulated on capability {capability[0]}.{capability[1]}"
        return warning("dtype", message, "--dtype float16")
    return ok("dtype", placement.dtype)


def memory_check(placement: Placement, contents: FolderContents) -> Check:
    """Return whether the model, and what it needs to work, fits."""
    weights = contents.num_parameters * BYTES[placement.dtype]
    needed = weights + OTHERS_BYTES
    free = torch.cuda.mem_get_info()[0] if placement.device == "cuda" else _free_bytes()
    message = (
        f"{_gib(weights)} of weights as {placement.dtype} + about {_gib(OTHERS_BYTES)};"
        f" {_gib(free)} free"
    )
    if weights > free:
        return failed("memory", message, "a larger GPU, or a smaller --dtype")
    if needed > free:
        return warning("memory", message, "lower --kv-cache-tokens and --encoder-cache-gib")
    return ok("memory", message)


def _free_bytes() -> int:
    """Return what this container may still take."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/meminfo").read_text("utf-8").splitlines()
    )
    free = int(fields["MemAvailable"].split()[0]) * 1024
    limit, used = (_cgroup(name) for name in ("memory.max", "memory.current"))
    return free if limit is None or used is None else min(free, limit - used)


def _cgroup(name: str) -> int | None:
    path = Path("/sys/fs/cgroup") / name
    text = path.read_text("utf-8").strip() if path.is_file() else ""
    return int(text) if text.isdigit() else None


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"
