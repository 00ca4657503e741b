"""Exit statuses of every process of the fleet, so that a supervisor knows whether to restart it.

`docs/exit-status.md` is generated from this table.
"""

from enum import IntEnum
from typing import Self


class ExitStatus(IntEnum):
    """A process's exit status; `meaning` is why it ended and what to do about it."""

    meaning: str

    def __new__(cls, status: int, meaning: str) -> Self:
        """Return a member that is `status` as a number and carries its meaning."""
        member = int.__new__(cls, status)
        member._value_ = status
        member.meaning = meaning
        return member

    OK = 0, "Stopped on request, after every request in flight was answered."
    INTERNAL_ERROR = 1, "An unexpected error; the log has the traceback."
    INVALID_CONFIGURATION = (
        2,
        "A flag, an environment variable or the settings file is invalid; see standard error.",
    )
    PORT_IN_USE = 3, "Another process listens on the port; choose another port."
    MODEL_LOAD_FAILED = (
        4,
        "The model does not exist, is incomplete or is not supported; a restart does not help.",
    )
    MISSING_DEPENDENCY = 5, "A required package is not installed; the message names the extra."
    MODEL_ACCESS_DENIED = (
        6,
        "The hub denies access to the model: accept its license and set a token with read access.",
    )
    HUB_UNREACHABLE = (
        7,
        "The hub did not respond or returned an error; a restart resumes the download.",
    )
    ENGINE_STALLED = (
        8,
        "The engine had work but made no progress; the log has every thread's stack.",
    )
    DEVICE_OUT_OF_MEMORY = (
        9,
        "The device is out of memory; lower kv_cache_tokens or encoder_cache_gib.",
    )
    DEVICE_ERROR = 10, "The device fails every request; replace the pod and check the GPU."
    ENGINE_FAILED = 11, "The engine failed every request; the log has the traceback."
    INCOMPLETE_SHUTDOWN = (
        12,
        "Shut down before all requests were answered; a pod logs how many were aborted.",
    )
    UNSUPPORTED_DEVICE = (
        13,
        "No GPU, one that is too old, or a dtype it does not support; the log says what is needed.",
    )
    ITEMS_FAILED = (
        14,
        (
            "`flamingo batch` processed all clips and some failed; `--retry-failed` tries those"
            " again. Or some of several clips failed of `flamingo caption`, `embed` or `tag`, or"
            " some lines of a batch that `flamingo batches` waited for."
        ),
    )
    BATCH_INCOMPLETE = (
        15,
        (
            "`flamingo batch` ended before all clips were processed; the same command continues it."
            " Or a batch that `flamingo batches` waited for has expired or was cancelled."
        ),
    )
