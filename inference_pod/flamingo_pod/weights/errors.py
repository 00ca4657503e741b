"""Why a checkpoint cannot be loaded.

Pure.
"""


class CannotLoad(Exception):
    """The checkpoint is missing, incomplete or unsupported; the message says what to do."""


class AccessDenied(CannotLoad):
    """The hub does not allow access to the checkpoint."""


class HubUnreachable(CannotLoad):
    """The hub did not respond, or failed; retrying may help."""
