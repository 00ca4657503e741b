"""Times of the week with bounds of their own, as a user writes them.

Pure.
"""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block, Rule


def _known(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone: write one such as Europe/Paris") from None
    return name


Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
TimeOfDay = Annotated[str, Field(max_length=5, pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
TimeZone = Annotated[
    str, Field(max_length=64, pattern="^[A-Za-z0-9_+/-]+$"), AfterValidator(_known)
]


class Schedule(Block):
    """Bounds that hold at certain times of the week."""

    RULES = (
        Rule(
            cel="has(self.minReplicas) || has(self.maxReplicas)",
            message="give minReplicas, maxReplicas or both",
            holds=lambda self: self.min_replicas is not None or self.max_replicas is not None,
        ),
        Rule(
            cel="!has(self.minReplicas) || !has(self.maxReplicas)"
            " || self.minReplicas <= self.maxReplicas",
            message="raise maxReplicas to at least minReplicas",
            holds=lambda self: (
                self.min_replicas is None
                or self.max_replicas is None
                or self.min_replicas <= self.max_replicas
            ),
        ),
    )

    name: fields.Label
    """What these times are called."""
    time_zone: TimeZone = "Etc/UTC"
    """Whose clock start and end are read from."""
    days: Annotated[
        list[Day],
        Field(min_length=1, max_length=7, json_schema_extra=fields.LIST_SET),
        AfterValidator(fields.unique),
    ] = Field(default=["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
    """Days on which it starts."""
    start: TimeOfDay
    """When it starts."""
    end: TimeOfDay
    """When it ends; on the next day where that is not later than start."""
    min_replicas: fields.Count | None = None
    """Fewest servers then, where that is more than scaling.minReplicas."""
    max_replicas: Annotated[int, Field(ge=1, le=500)] | None = None
    """Most servers then, where that is fewer than scaling.maxReplicas."""
