"""What a fault means for the process: which status it ends with.

Pure.
"""

from collections.abc import Iterator

from flamingo_common.service.exit_status import ExitStatus
from flamingo_pod.weights.errors import AccessRefused, CannotLoad, HubUnreachable

_MEMORY = ("OutOfMemoryError",)
_DEVICE = ("AcceleratorError",)
_DEVICE_SAYS = ("CUDA error", "device-side assert", "uncorrectable ECC", "illegal memory access")


def from_load_error(error: BaseException) -> ExitStatus:
    """Return the status of a pod that could not load its model."""
    match error:
        case AccessRefused():
            return ExitStatus.MODEL_ACCESS_DENIED
        case HubUnreachable():
            return ExitStatus.HUB_UNREACHABLE
        case CannotLoad() | PermissionError():  # of its folder, which it names
            return ExitStatus.MODEL_LOAD_FAILED
    status = from_engine_error(error)
    return ExitStatus.INTERNAL_ERROR if status is ExitStatus.ENGINE_FAILED else status


def from_engine_error(error: BaseException | None) -> ExitStatus:
    """Return the status of a pod whose engine `error` broke.

    torch is not asked: its types are told by their names, so that this reads no tensor.
    """
    causes = list(_causes(error))
    if any(type(each).__name__ in _MEMORY for each in causes):
        return ExitStatus.DEVICE_OUT_OF_MEMORY
    if any(type(each).__name__ in _DEVICE or _is_of_device(str(each)) for each in causes):
        return ExitStatus.DEVICE_ERROR
    return ExitStatus.ENGINE_FAILED


def _is_of_device(text: str) -> bool:
    return any(words in text for words in _DEVICE_SAYS)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
