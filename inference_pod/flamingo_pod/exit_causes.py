"""Map errors to the exit status of the process.

Pure.
"""

from collections.abc import Sequence

from flamingo_common.recipes.recipe import RecipeInvalid
from flamingo_common.service.exit_status import ExitStatus
from flamingo_pod.engine.device import device_faults
from flamingo_pod.engine.device.device_faults import DeviceFault
from flamingo_pod.engine.startup.sizing import InsufficientMemory
from flamingo_pod.model.placement import UnsupportedDevice
from flamingo_pod.weights.errors import HubUnreachable, ModelAccessDenied, ModelLoadFailed

LOAD_STATUSES: Sequence[tuple[type[Exception], ExitStatus]] = (
    (ModelAccessDenied, ExitStatus.MODEL_ACCESS_DENIED),
    (HubUnreachable, ExitStatus.HUB_UNREACHABLE),
    (UnsupportedDevice, ExitStatus.UNSUPPORTED_DEVICE),
    (InsufficientMemory, ExitStatus.DEVICE_OUT_OF_MEMORY),
    (RecipeInvalid, ExitStatus.INVALID_CONFIGURATION),
    (ModelLoadFailed, ExitStatus.MODEL_LOAD_FAILED),
    (PermissionError, ExitStatus.MODEL_LOAD_FAILED),  # of its folder, named in the message
)
"""The first that fits counts."""


def from_load_error(error: BaseException) -> ExitStatus:
    """Return the status of a pod that failed to load its model with `error`."""
    for kind, load_status in LOAD_STATUSES:
        if isinstance(error, kind):
            return load_status
    status = from_engine_error(error)
    return ExitStatus.INTERNAL_ERROR if status is ExitStatus.ENGINE_FAILED else status


def from_engine_error(error: BaseException | None) -> ExitStatus:
    """Return the status of a pod whose engine failed with `error`."""
    match device_faults.classify(error):
        case DeviceFault.OUT_OF_MEMORY:
            return ExitStatus.DEVICE_OUT_OF_MEMORY
        case DeviceFault.DEVICE_LOST:
            return ExitStatus.DEVICE_ERROR
        case DeviceFault.OTHER:
            return ExitStatus.ENGINE_FAILED
