"""Check the GPU, its driver, and whether the model fits in memory."""

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
WORKING_BYTES = 4 * 2**30
"""KV cache, encoder cache and activations, at the default settings."""
NVIDIA_SMI_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Placement:
    """The device and the data type the model would have."""

    device: str
    dtype: str


def choose_placement(device: str, dtype: str) -> Placement:
    """Return what `auto` resolves to on this machine, by the pod's rules."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    return Placement(device, dtype)


def checks(placement: Placement) -> Iterator[Check]:
    """Yield checks of the GPU: its driver, torch's access to it, and its support of the dtype."""
    description = _query_driver()
    if torch.cuda.is_available():
        yield ok("GPU", f"{torch.cuda.get_device_name()}; {description or 'nvidia-smi not found'}")
        yield _dtype(placement)
    elif description:
        build = torch.version.cuda
        torch_build = f"is built for CUDA {build}" if build else "is a CPU build"
        advice = "install a torch build that the driver supports: pytorch.org/get-started"
        yield failed("GPU", f"{description}, but torch cannot use it: it {torch_build}", advice)
    elif placement.device == "cuda":
        yield failed("GPU", "no GPU found", "start the container with a GPU, or use --device cpu")
    else:
        yield warning("GPU", "no GPU found", "the 8B model needs one; the tiny models do not")


def _query_driver() -> str | None:
    if (program := shutil.which("nvidia-smi")) is None:
        return None
    done = subprocess.run(
        [program, f"--query-gpu={QUERY}", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        timeout=NVIDIA_SMI_TIMEOUT_S,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return None
    name, driver, memory, capability = (part.strip() for part in lines[0].split(","))
    count = f"{len(lines)} x " if len(lines) > 1 else ""
    return f"{count}{name}, {memory}, driver {driver}, compute capability {capability}"


def _dtype(placement: Placement) -> Check:
    capability = torch.cuda.get_device_capability()
    if placement.dtype == "bfloat16" and capability < BFLOAT16_SINCE:
        message = f"bfloat16 is emulated on compute capability {capability[0]}.{capability[1]}"
        return warning("dtype", message, "use --dtype float16")
    return ok("dtype", placement.dtype)


def memory_check(placement: Placement, contents: FolderContents) -> Check:
    """Check whether the model and its working memory fit."""
    weights = contents.num_parameters * BYTES[placement.dtype]
    needed = weights + WORKING_BYTES
    free = torch.cuda.mem_get_info()[0] if placement.device == "cuda" else _free_bytes()
    message = (
        f"{_gib(weights)} of weights as {placement.dtype} + about {_gib(WORKING_BYTES)} of working"
        f" memory; {_gib(free)} free"
    )
    if weights > free:
        return failed("memory", message, "use a larger GPU, or a smaller --dtype")
    if needed > free:
        return warning("memory", message, "lower --kv-cache-tokens and --encoder-cache-gib")
    return ok("memory", message)


def _free_bytes() -> int:
    """Return the memory still available to this container."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/meminfo").read_text("utf-8").splitlines()
    )
    free = int(fields["MemAvailable"].split()[0]) * 1024
    limit, used = (_cgroup_bytes(name) for name in ("memory.max", "memory.current"))
    return free if limit is None or used is None else min(free, limit - used)


def _cgroup_bytes(name: str) -> int | None:
    path = Path("/sys/fs/cgroup") / name
    text = path.read_text("utf-8").strip() if path.is_file() else ""
    return int(text) if text.isdigit() else None


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"
