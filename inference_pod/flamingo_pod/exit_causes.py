"""What a fault means for the process: which status it ends with.

Pure.
"""

from collections.abc import Iterator

from flamingo_common.service.exit_status import Exit
from flamingo_pod.weights.errors import AccessRefused, CannotLoad, HubUnreachable

_MEMORY = ("OutOfMemoryError",)
_DEVICE = ("AcceleratorError",)
_DEVICE_SAYS = ("CUDA error", "device-side assert", "uncorrectable ECC", "illegal memory access")


def from_load_error(error: BaseException) -> Exit:
    """Return the status of a pod that could not load its model."""
    match error:
        case AccessRefused():
            return Exit.ACCESS_REFUSED
        case HubUnreachable():
            return Exit.HUB_UNREACHABLE
        case CannotLoad() | PermissionError():  # of its folder, which it names
            return Exit.CANNOT_LOAD
    status = from_engine_error(error)
    return Exit.BUG if status is Exit.ENGINE_BROKEN else status


def from_engine_error(error: BaseException | None) -> Exit:
    """Return the status of a pod whose engine `error` broke.

    torch is not asked: its types are told by their names, so that this reads no tensor.
    """
    causes = list(_causes(error))
    if any(type(each).__name__ in _MEMORY for each in causes):
        return Exit.DEVICE_MEMORY
    if any(type(each).__name__ in _DEVICE or _is_of_device(str(each)) for each in causes):
        return Exit.DEVICE_FAULT
    return Exit.ENGINE_BROKEN


def _is_of_device(text: str) -> bool:
    return any(words in text for words in _DEVICE_SAYS)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
