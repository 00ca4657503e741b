"""Tell errors of the device from others: out of memory, or lost until the process is replaced.

After an illegal memory access, a failed assertion in a kernel or an uncorrectable ECC error, every
further call on the device fails (CUDA calls these errors sticky), whichever request it is for. The
device survives a failed allocation, which is not the fault of the request that it happens to. All
other errors may be one request's.

PyTorch raises `OutOfMemoryError`, `AcceleratorError` with the `error_code` of the CUDA runtime, or
a `RuntimeError` that only its text tells apart; Triton raises the latter. They are recognized by
name, code and text.

Pure.
"""

import re
from collections.abc import Iterator
from enum import Enum

OUT_OF_MEMORY_CODE = 2
"""`cudaErrorMemoryAllocation`"""
LAUNCH_ERROR_CODES = frozenset({1, 9, 98, 209, 222, 701, 720, 801, *range(900, 909)})
"""Errors of one call that leave the device usable: an invalid argument or launch configuration, a
missing kernel image, too many resources, and calls that are not allowed during a capture
(CUDA Runtime API, `cudaError_t`)."""

_OUT_OF_MEMORY = re.compile(
    r"CUDA out of memory"
    r"|(?:CUDA error|Triton Error \[CUDA\]): out of memory"
    r"|CUBLAS_STATUS_(?:ALLOC_FAILED|NOT_INITIALIZED)"  # creating the handle allocates
    r"|CUDNN_STATUS_ALLOC_FAILED"
    r"|CUFFT_(?:ALLOC_FAILED|INTERNAL_ERROR)"  # a plan without memory: pytorch#119420
)
_LAUNCH_ERROR = re.compile(
    r"(?:CUDA error|Triton Error \[CUDA\]): (?:"
    r"invalid argument|invalid configuration argument|invalid device function"
    r"|no kernel image|too many resources requested|operation not (?:supported|permitted)"
    r"|the provided PTX was compiled)"
    r"|CUBLAS_STATUS_(?:INVALID_VALUE|NOT_SUPPORTED)"
)
_LOST = re.compile(
    r"CUDA error|Triton Error \[CUDA\]|CUDA driver error"
    r"|device-side assert|illegal memory access|uncorrectable ECC|GPU is lost"
    r"|CUBLAS_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR)"
    r"|CUDNN_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR)|CUFFT_EXEC_FAILED"
)


class DeviceFault(Enum):
    """What an error says about the device."""

    OUT_OF_MEMORY = "out of memory"
    DEVICE_LOST = "device lost"
    OTHER = "other"


def classify(error: BaseException | None) -> DeviceFault:
    """Return what an error, or the first of its causes that is about the device, says about it."""
    faults = (_of_one(each) for each in _with_causes(error))
    return next((each for each in faults if each is not DeviceFault.OTHER), DeviceFault.OTHER)


def summary(error: BaseException | None) -> str:
    """Return the first line of the innermost cause: what follows is advice for debugging."""
    innermost = list(_with_causes(error))[-1:]
    lines = [f"{type(each).__name__}: {each}".splitlines()[0] for each in innermost]
    return lines[0] if lines else ""


def _of_one(error: BaseException) -> DeviceFault:
    name, text = type(error).__name__, str(error)
    code = getattr(error, "error_code", None) if name == "AcceleratorError" else None
    if name == "OutOfMemoryError" or code == OUT_OF_MEMORY_CODE or _OUT_OF_MEMORY.search(text):
        return DeviceFault.OUT_OF_MEMORY
    if code in LAUNCH_ERROR_CODES or _LAUNCH_ERROR.search(text):
        return DeviceFault.OTHER
    if name == "AcceleratorError" or _LOST.search(text):
        return DeviceFault.DEVICE_LOST
    return DeviceFault.OTHER


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
