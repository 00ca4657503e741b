"""How a request's clips are processed: the fields that all routes for audio share.

Pure.
"""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from flamingo_common.wire import parameters
from flamingo_common.wire.parameters import Table
from flamingo_common.wire.request_body import RequestBody

MAX_CLIP_S = 10_000_000
"""More than the longest clip that fits into a request: 115 days."""


def _at_most_a_clip(seconds: float) -> float:
    """Return a time after which no clip goes on, as the end of any clip."""
    return min(seconds, MAX_CLIP_S)


class ClipOptions(RequestBody):
    """Options of reading a clip."""

    table: ClassVar[Table] = parameters.CLIP

    start: Annotated[float, Field(ge=0, le=MAX_CLIP_S)] | None = None
    """Seconds at which the part of the clip that is used begins; default: its beginning."""
    end: Annotated[float, Field(gt=0), AfterValidator(_at_most_a_clip)] | None = None
    """Seconds at which that part ends; default, and where it is later: the end of the clip."""
    truncate: bool = False
    """Use the beginning of a clip that exceeds the maximum length, instead of rejecting it."""
    allow_damaged: bool | None = None
    """Whether a clip with missing audio is processed: `true`: always. `false`: never. Unset: if
    at most a twentieth is missing inside it."""

    @property
    def is_measured(self) -> bool:
        """Whether the file is needed after it was decoded."""
        return False

    @field_validator("end")
    @classmethod
    def _is_after_start(cls, value: float | None, info: ValidationInfo) -> float | None:
        start = info.data.get("start")
        if value is not None and start is not None and value <= start:
            raise ValueError(f"must be after start, which is {start:g}")
        return value
