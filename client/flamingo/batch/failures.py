"""Errors that end a batch; what was recorded until then stays, and the next run continues.

Pure.
"""

from flamingo_common.errors import FlamingoError


class OutputFailed(FlamingoError):
    """The output cannot be written, for example since the disk is full."""

    code = "output_failed"
    type = "output_error"


class FleetUnavailable(FlamingoError):
    """The fleet has accepted nothing for too long."""

    code = "fleet_unavailable"
    status = 503
    type = "connection_error"


class BatchUnfinished(FlamingoError):
    """Some items could not be processed now; the next run tries them again."""

    code = "batch_unfinished"
    status = 503
