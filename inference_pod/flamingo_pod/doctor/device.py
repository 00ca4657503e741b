"""Check the GPU, its driver, and whether the model fits in memory."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from flamingo_common import numerals
from flamingo_common.service.checks import Check, failed, ok, warning
from flamingo_pod.doctor import sizing_table
from flamingo_pod.doctor.model import FoundModel
from flamingo_pod.engine.device.device_memory import CudaMemory
from flamingo_pod.engine.startup import sizing
from flamingo_pod.engine.startup.sizing import MemoryNeeds
from flamingo_pod.model.placement import (
    Gpu,
    Placement,
    fp8_unsupported_reason,
    unsupported_reason,
)

QUERY = "name,driver_version,memory.total,compute_cap"
NVIDIA_SMI_TIMEOUT_S = 20


def checks(placement: Placement, gpu: Gpu | None) -> Iterator[Check]:
    """Yield checks of the GPU: its driver, torch's access to it, and its support of the dtype."""
    description = _query_driver()
    if gpu is not None:
        yield ok("GPU", f"{gpu.name}; {description or 'nvidia-smi not found'}")
        yield _support(placement, gpu)
        yield compiler(os.environ, has_triton=importlib.util.find_spec("triton") is not None)
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


def _support(placement: Placement, gpu: Gpu) -> Check:
    if reason := unsupported_reason(placement, gpu):
        message, _, advice = reason.partition("; ")
        return failed("dtype", message, advice)
    return ok("dtype", placement.dtype)


def fp8_check(placement: Placement, gpu: Gpu | None) -> Check:
    """Check whether the device can compute with weights in FP8."""
    if reason := fp8_unsupported_reason(gpu if placement.device == "cuda" else None):
        message, _, advice = reason.partition("; ")
        return failed("FP8", message, advice)
    if placement.device == "cpu":
        return warning("FP8", "a CPU computes with FP8 weights slowly", "use it for tests only")
    return ok("FP8", "the GPU supports weights in FP8")


def memory_check(placement: Placement, found: FoundModel, *, is_fp8: bool) -> Check:
    """Check whether the model and its working memory fit, and say how much then fits at once."""
    usable_bytes = CudaMemory().usable_bytes() if placement.device == "cuda" else None
    needs = needs_of(placement, found, usable_bytes, is_fp8=is_fp8)
    return (
        _host_memory(placement, needs) if usable_bytes is None else gpu_memory(usable_bytes, needs)
    )


def needs_of(
    placement: Placement, found: FoundModel, usable_bytes: int | None, *, is_fp8: bool
) -> MemoryNeeds:
    """Return what a model needs; `usable_bytes` is of a GPU, and None is a CPU."""
    element_bytes = sizing_table.ELEMENT_BYTES[placement.dtype]
    needs = sizing_table.needs_of(found.dimensions, placement.dtype, usable_bytes)
    return replace(needs, weight_bytes=found.loaded_bytes(element_bytes, is_fp8=is_fp8))


def compiler(environ: Mapping[str, str], *, has_triton: bool) -> Check:
    """Check what Triton needs; without it the engine's kernels are PyTorch's, which are slower."""
    if not has_triton:
        return warning("compiler", "Triton is not installed", "install a CUDA build of torch")
    paths = (shutil.which(name, path=environ.get("PATH")) for name in _compiler_names(environ))
    found = next((path for path in paths if path), None)
    if found is None:
        message = "no C compiler found, which Triton needs when its kernels are first used"
        return warning("compiler", message, "install gcc and the headers of libc (libc6-dev)")
    return ok("compiler", found)


def _compiler_names(environ: Mapping[str, str]) -> list[str]:
    """Return what Triton looks for: the one in `CC`, or else one of two."""
    return [environ["CC"]] if "CC" in environ else ["gcc", "clang"]


def gpu_memory(usable_bytes: int, needs: MemoryNeeds) -> Check:
    """Check whether a model fits into what a process can use of a GPU."""
    plan = sizing.plan_memory(usable_bytes, needs)
    if plan.kv_cache_tokens < sizing.MIN_POOL_TOKENS:
        message, _, advice = sizing.shortage(usable_bytes, needs).rpartition("; ")
        return failed("memory", message, advice)
    message = f"{_gib(needs.weight_bytes)} of weights; {sizing_table.describe(plan)}"
    if plan.kv_cache_tokens < needs.context_tokens:
        return warning("memory", message, "the longest clips do not fit: use a larger GPU")
    return ok("memory", message)


def _host_memory(placement: Placement, needs: MemoryNeeds) -> Check:
    pool_bytes = sizing.cpu_pool_tokens(needs.kv_token_bytes) * needs.kv_token_bytes
    working = needs.peak_bytes + needs.encoder_cache_bytes + pool_bytes
    free = _free_bytes()
    message = (
        f"{_gib(needs.weight_bytes)} of weights as {placement.dtype} + up to {_gib(working)} of"
        f" working memory; {_gib(free)} free"
    )
    if needs.weight_bytes > free:
        return failed("memory", message, "use a machine with more memory, or a smaller --dtype")
    if needs.weight_bytes + working > free:
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
    return numerals.whole(text)


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"
