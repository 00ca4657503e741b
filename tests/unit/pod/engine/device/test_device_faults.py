"""Errors of the device by name, code and text, and errors that are not."""

import pytest

from flamingo_pod.engine.device.device_faults import DeviceFault, classify, summary

ADVICE = (
    "\nCUDA kernel errors might be asynchronously reported at some other API call, so the"
    " stacktrace below might be incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"
)


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's."""


class AcceleratorError(RuntimeError):
    """Has the name of torch's, and its code."""

    def __init__(self, message, error_code):
        super().__init__(f"CUDA error: {message}{ADVICE}")
        self.error_code = error_code


OUT_OF_MEMORY = [
    OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity"),
    AcceleratorError("out of memory", 2),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuFFT error: CUFFT_INTERNAL_ERROR"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
]
LOST = [
    AcceleratorError("an illegal memory access was encountered", 700),
    AcceleratorError("device-side assert triggered", 710),
    AcceleratorError("uncorrectable ECC error encountered", 214),
    AcceleratorError("unspecified launch failure", 719),
    AcceleratorError("unknown error", 999),
    AcceleratorError("an error of a later CUDA", 12345),
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx(...)`"),
    RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("cuFFT error: CUFFT_EXEC_FAILED"),
    RuntimeError("Unable to determine the device handle for GPU0: GPU is lost"),
]
OTHERS = [
    AcceleratorError("invalid configuration argument", 9),
    AcceleratorError("no kernel image is available for execution on the device", 209),
    AcceleratorError("operation not permitted when stream is capturing", 900),
    RuntimeError("CUDA error: invalid argument"),
    RuntimeError("CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasGemmEx(...)`"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"),
    MemoryError(),
    ValueError("a prompt about a CUDA kernel"),
]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        *((each, DeviceFault.OUT_OF_MEMORY) for each in OUT_OF_MEMORY),
        *((each, DeviceFault.DEVICE_LOST) for each in LOST),
        *((each, DeviceFault.OTHER) for each in OTHERS),
    ],
    ids=lambda value: value.name if isinstance(value, DeviceFault) else str(value)[:40],
)
def test_an_error_says_what_became_of_the_device(error, fault):
    assert classify(error) is fault


@pytest.mark.parametrize(
    ("cause", "fault"),
    [(OUT_OF_MEMORY[0], DeviceFault.OUT_OF_MEMORY), (LOST[0], DeviceFault.DEVICE_LOST)],
)
def test_the_cause_of_another_error_counts(cause, fault):
    outer = RuntimeError("the engine failed")
    outer.__cause__ = ValueError("on the way")
    outer.__cause__.__cause__ = cause
    assert classify(outer) is fault


def test_no_error_is_no_fault():
    assert classify(None) is DeviceFault.OTHER
    assert summary(None) == ""


def test_the_summary_is_the_innermost_cause_in_one_line():
    outer = RuntimeError("the engine failed")
    outer.__cause__ = LOST[0]
    expected = "AcceleratorError: CUDA error: an illegal memory access was encountered"
    assert summary(outer) == expected
