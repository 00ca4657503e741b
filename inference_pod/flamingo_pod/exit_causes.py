"""Map errors to the exit status of the process.

Pure.
"""

from collections.abc import Iterator

from flamingo_common.service.exit_status import ExitStatus
from flamingo_pod.weights.errors import HubUnreachable, ModelAccessDenied, ModelLoadFailed

_OUT_OF_MEMORY_TYPES = ("OutOfMemoryError",)
_DEVICE_ERROR_TYPES = ("AcceleratorError",)
_DEVICE_ERROR_TEXTS = (
    "CUDA error",
    "device-side assert",
    "uncorrectable ECC",
    "illegal memory access",
)


def from_load_error(error: BaseException) -> ExitStatus:
    """Return the status of a pod that failed to load its model with `error`."""
    match error:
        case ModelAccessDenied():
            return ExitStatus.MODEL_ACCESS_DENIED
        case HubUnreachable():
            return ExitStatus.HUB_UNREACHABLE
        case ModelLoadFailed() | PermissionError():  # of its folder, named in the message
            return ExitStatus.MODEL_LOAD_FAILED
    status = from_engine_error(error)
    return ExitStatus.INTERNAL_ERROR if status is ExitStatus.ENGINE_FAILED else status


def from_engine_error(error: BaseException | None) -> ExitStatus:
    """Return the status of a pod whose engine failed with `error`.

    torch's exceptions are recognized by their names, so that this module does not import it.
    """
    causes = list(_causes(error))
    if any(type(each).__name__ in _OUT_OF_MEMORY_TYPES for each in causes):
        return ExitStatus.DEVICE_OUT_OF_MEMORY
    if any(
        type(each).__name__ in _DEVICE_ERROR_TYPES or _is_device_error(str(each)) for each in causes
    ):
        return ExitStatus.DEVICE_ERROR
    return ExitStatus.ENGINE_FAILED


def _is_device_error(text: str) -> bool:
    return any(fragment in text for fragment in _DEVICE_ERROR_TEXTS)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
