"""How many servers there are: the limits, the objective and the pace of scaling.

Pure.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block, Rule
from flamingo_operator.api.schedule import Schedule


class Objective(Block):
    """What scaling aims at, by the routers' own figures."""

    queue_wait_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """Longest predicted wait. Below a third of the cold start it only over-provisions."""
    utilization_percent: Annotated[int, Field(ge=10, le=95)] = 75
    """Arriving audio, as a share of what the ready servers can take."""


class ScaleUp(Block):
    """How fast servers are added."""

    stabilization_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """How long the need must last."""
    max_step: Annotated[int, Field(ge=1, le=100)] = 4
    """Most servers added at once."""
    max_pending: Annotated[int, Field(ge=1, le=100)] = 4
    """Add none while so many are not ready yet: a cold start takes minutes."""


class ScaleDown(Block):
    """How fast servers are drained away."""

    stabilization_seconds: Annotated[int, Field(ge=0, le=86_400)] = 300
    """How long they must be unneeded."""
    max_step: Annotated[int, Field(ge=1, le=100)] = 1
    """Most servers drained at once."""


class ScaleToZero(Block):
    """When the last server goes; only with minReplicas 0."""

    idle_seconds: Annotated[int, Field(ge=30, le=604_800)] = 900
    """How long no request may have come."""


class Scaling(Block):
    """Who decides the number of servers, and within which bounds."""

    RULES = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            message="raise scaling.maxReplicas to at least scaling.minReplicas",
            holds=lambda self: self.min_replicas <= self.max_replicas,
        ),
        Rule(
            cel="!has(self.schedules) || self.schedules.all(one, !has(one.minReplicas)"
            " || one.minReplicas <= self.maxReplicas)",
            message="raise scaling.maxReplicas to at least each schedule's minReplicas: no"
            " schedule raises it",
            holds=lambda self: all(
                (one.min_replicas or 0) <= self.max_replicas for one in self.schedules
            ),
        ),
    )

    mode: Literal["External", "Internal"] = "External"
    """External: kubectl scale, an HPA or KEDA write replicas. Internal: the operator decides."""
    min_replicas: fields.Count = 1
    """Fewest servers, in mode Internal."""
    max_replicas: Annotated[int, Field(ge=1, le=500)] = 1
    """Most servers, in mode Internal."""
    objective: Objective = Objective()
    """What to aim at."""
    scale_up: ScaleUp = ScaleUp()
    """How fast to add."""
    scale_down: ScaleDown = ScaleDown()
    """How fast to remove."""
    scale_to_zero: ScaleToZero = ScaleToZero()
    """When to remove the last."""
    schedules: Annotated[
        list[Schedule],
        Field(max_length=16, json_schema_extra=fields.LIST_MAP_BY_NAME),
        AfterValidator(fields.unique_names),
    ] = Field(default_factory=list)
    """Times of the week with bounds of their own."""
    on_signal_loss: Literal["Hold", "MinReplicas", "MaxReplicas"] = "Hold"
    """What to do when no router can be asked."""
