"""An item of `scaling.schedules`: limits at certain times of the week.

Pure.
"""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block, Rule


def _known_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is not a known time zone: use an IANA name such as Europe/Paris"
        ) from None
    return name


Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
TimeOfDay = Annotated[str, Field(max_length=5, pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
TimeZone = Annotated[
    str, Field(max_length=64, pattern="^[A-Za-z0-9_+/-]+$"), AfterValidator(_known_time_zone)
]


class Schedule(Block):
    """Schedule sets limits that apply at certain times of the week."""

    RULES = (
        Rule(
            cel="has(self.minReplicas) || has(self.maxReplicas)",
            message="at least one of minReplicas and maxReplicas must be set",
            holds=lambda self: self.min_replicas is not None or self.max_replicas is not None,
        ),
        Rule(
            cel="!has(self.minReplicas) || !has(self.maxReplicas)"
            " || self.minReplicas <= self.maxReplicas",
            message="minReplicas must not exceed maxReplicas: lower minReplicas or raise"
            " maxReplicas",
            field_path=".minReplicas",
            holds=lambda self: (
                self.min_replicas is None
                or self.max_replicas is None
                or self.min_replicas <= self.max_replicas
            ),
        ),
    )

    name: fields.Label
    """name identifies the schedule."""
    time_zone: TimeZone = "Etc/UTC"
    """timeZone is the IANA time zone of start and end."""
    days: Annotated[
        list[Day],
        Field(min_length=1, max_length=7, json_schema_extra=fields.LIST_SET),
        AfterValidator(fields.require_unique),
    ] = Field(default=["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
    """days are the days of the week on which the schedule starts."""
    start: TimeOfDay
    """start is the time of day at which the schedule starts, as HH:MM."""
    end: TimeOfDay
    """end is the time of day at which the schedule ends, as HH:MM. If it is not later than start,
    the schedule ends on the next day."""
    min_replicas: fields.Count | None = None
    """minReplicas is the minimum number of server pods during the schedule. It applies if it is
    higher than scaling.minReplicas."""
    max_replicas: Annotated[int, Field(ge=1, le=500)] | None = None
    """maxReplicas is the maximum number of server pods during the schedule. It applies if it is
    lower than scaling.maxReplicas."""
