"""On which device and in which data type a model runs, and whether the device supports it.

Attention over the KV pool on a GPU uses flash attention, which exists for float16 and bfloat16 on
compute capability 8.0 (Ampere) and newer. PyTorch has other kernels for older GPUs and for float32,
but the model does not fit on most of those GPUs, and float32 would only make it slower.

Pure.
"""

from dataclasses import dataclass

MIN_CAPABILITY = (8, 0)
GPU_DTYPES = ("bfloat16", "float16")
FP8_MIN_CAPABILITY = (8, 9)
"""Ada and Hopper: the first GPUs that multiply in FP8."""


class UnsupportedDevice(Exception):
    """The device is missing, too old, or does not support the data type; the message says which."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU of this machine."""

    name: str
    capability: tuple[int, int]
    """CUDA's compute capability, major and minor."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The device, `cpu` or `cuda`, and the data type of the weights."""

    device: str
    dtype: str


def choose_placement(device: str, dtype: str, gpu: Gpu | None) -> Placement:
    """Return what `auto` resolves to on a machine with this GPU, or with none."""
    if device == "auto":
        device = "cpu" if gpu is None else "cuda"
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    return Placement(device, dtype)


def unsupported_reason(placement: Placement, gpu: Gpu | None) -> str | None:
    """Return why a model cannot run there, with what is supported; None if it can."""
    if placement.device == "cpu":
        return None
    if gpu is None:
        return "no GPU found; give the container or the process access to one, or use --device cpu"
    if gpu.capability < MIN_CAPABILITY:
        return (
            f"{gpu.name} has compute capability {_version(gpu.capability)}, and the attention"
            f" kernels need {_version(MIN_CAPABILITY)} (NVIDIA Ampere) or newer; use a newer GPU,"
            " or --device cpu"
        )
    if placement.dtype not in GPU_DTYPES:
        return (
            f"the attention kernels of a GPU do not support {placement.dtype}; use --dtype"
            f" {' or '.join(GPU_DTYPES)}, or --device cpu"
        )
    return None


def fp8_unsupported_reason(gpu: Gpu | None) -> str | None:
    """Return why a GPU cannot compute with FP8 weights; None if it can, or for a CPU (None)."""
    if gpu is None or gpu.capability >= FP8_MIN_CAPABILITY:
        return None
    return (
        f"{gpu.name} has compute capability {_version(gpu.capability)}, and FP8 weights need"
        f" {_version(FP8_MIN_CAPABILITY)} (NVIDIA Ada or Hopper) or newer; serve a checkpoint that"
        " is not quantized, without --quantization"
    )


def _version(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
