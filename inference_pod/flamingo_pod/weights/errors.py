"""Why a checkpoint cannot be served.

Pure.
"""


class CannotLoad(Exception):
    """The checkpoint is not there, or is none that this server runs; says what to do."""


class AccessRefused(CannotLoad):
    """The hub does not let us read it."""


class HubUnreachable(CannotLoad):
    """The hub did not answer, or failed; trying again may help."""
