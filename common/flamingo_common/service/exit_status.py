"""Why a process of ours ended: one table, so that whoever restarts it knows what would help.

`docs/exit-status.md` is written from it.
"""

from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """A process's exit status; each member's sentence says why, and what to do."""

    says: str

    def __new__(cls, status: int, says: str) -> Self:
        """Let a member carry its sentence."""
        member = int.__new__(cls, status)
        member._value_ = status
        member.says = says
        return member

    OK = 0, "It was told to stop, and finished all it held."
    BUG = 1, "A fault of ours; the traceback is in the log."
    USAGE = 2, "A flag, variable or settings file is wrong; every fault was told."
    PORT_BUSY = 3, "Somebody else listens on the port; choose another."
    CANNOT_LOAD = (
        4,
        "The model is not there, or none that is served here; starting again won't help.",
    )
    NOT_INSTALLED = 5, "An extra is missing; install what the message names."
    ACCESS_REFUSED = (
        6,
        "The hub refuses the model: accept its licence, give a token that may read it.",
    )
    HUB_UNREACHABLE = 7, "The hub did not answer, or failed; start again, which resumes."
    STALLED = 8, "The engine held work and made no step; all stacks are in the log."
    DEVICE_MEMORY = (
        9,
        "The device's memory is too small; lower kv_cache_tokens or encoder_cache_gib.",
    )
    DEVICE_FAULT = 10, "The device fails whatever it is given; replace the pod, look at the GPU."
    ENGINE_BROKEN = 11, "The engine failed on everything it was given; the traceback is in the log."
    CUT = (
        12,
        "Told to stop, but grace was over (or hurried) before all was answered; the log counts.",
    )
