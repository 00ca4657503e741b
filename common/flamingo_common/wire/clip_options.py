"""How a request's clips are processed: the fields that all routes for audio share.

Pure.
"""

from typing import ClassVar

from flamingo_common.wire import parameters
from flamingo_common.wire.parameters import Table
from flamingo_common.wire.request_body import RequestBody


class ClipOptions(RequestBody):
    """Options of reading a clip."""

    table: ClassVar[Table] = parameters.CLIP

    truncate: bool = False
    """Use the beginning of a clip that exceeds the maximum length, instead of rejecting it."""
    allow_damaged: bool | None = None
    """Whether a clip with missing audio is processed: `true`: always. `false`: never. Unset: if
    at most a twentieth is missing inside it."""
