"""Why a checkpoint cannot be loaded.

Pure.
"""


class ModelLoadFailed(Exception):
    """The checkpoint is missing, incomplete or unsupported; the message explains what to do."""


class ModelAccessDenied(ModelLoadFailed):
    """The hub does not allow access to the checkpoint."""


class HubUnreachable(ModelLoadFailed):
    """The hub did not respond, or failed; retrying may help."""
