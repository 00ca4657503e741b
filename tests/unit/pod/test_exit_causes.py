"""The exit status that an error becomes."""

import pytest

from flamingo_common.service.exit_status import ExitStatus
from flamingo_pod import exit_causes
from flamingo_pod.engine.startup.sizing import InsufficientMemory
from flamingo_pod.model.placement import UnsupportedDevice
from flamingo_pod.weights.errors import HubUnreachable, ModelAccessDenied, ModelLoadFailed


def with_cause(error, cause):
    error.__cause__ = cause
    return error


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's exception."""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ModelAccessDenied("x"), ExitStatus.MODEL_ACCESS_DENIED),
        (InsufficientMemory("x"), ExitStatus.DEVICE_OUT_OF_MEMORY),
        (UnsupportedDevice("x"), ExitStatus.UNSUPPORTED_DEVICE),
        (HubUnreachable("x"), ExitStatus.HUB_UNREACHABLE),
        (ModelLoadFailed("x"), ExitStatus.MODEL_LOAD_FAILED),
        (PermissionError(13, "Permission denied", "/models"), ExitStatus.MODEL_LOAD_FAILED),
        (OutOfMemoryError("x"), ExitStatus.DEVICE_OUT_OF_MEMORY),
        (RuntimeError("CUDA error: an illegal memory access"), ExitStatus.DEVICE_ERROR),
        (ValueError("x"), ExitStatus.INTERNAL_ERROR),
    ],
    ids=lambda each: getattr(each, "name", type(each).__name__),
)
def test_the_status_says_why_loading_failed(error, status):
    assert exit_causes.from_load_error(error) is status


@pytest.mark.parametrize(
    ("cause", "status"),
    [
        (OutOfMemoryError("x"), ExitStatus.DEVICE_OUT_OF_MEMORY),
        (RuntimeError("device-side assert triggered"), ExitStatus.DEVICE_ERROR),
        (KeyError("x"), ExitStatus.ENGINE_FAILED),
        (None, ExitStatus.ENGINE_FAILED),
    ],
    ids=lambda each: getattr(each, "name", type(each).__name__),
)
def test_the_status_says_why_the_engine_failed(cause, status):
    assert exit_causes.from_engine_error(with_cause(RuntimeError("broken"), cause)) is status
