"""The `scaling` block: how many server pods there are, and how fast their number changes.

Pure.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block, Rule
from flamingo_operator.api.schedule import Schedule


class Objective(Block):
    """Objective is what scaling in mode Internal aims at, as measured by the routers."""

    queue_wait_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """queueWaitSeconds is the longest predicted wait of a request in the queue. Values below a
    third of the cold start time only lead to more server pods than needed."""
    utilization_percent: Annotated[int, Field(ge=10, le=95)] = 75
    """utilizationPercent is the target utilization: the arriving audio as a percentage of what the
    ready server pods can handle."""


class ScaleUp(Block):
    """ScaleUp limits how fast server pods are added."""

    stabilization_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """stabilizationSeconds is how long a higher number must be needed before server pods are
    added."""
    max_step: Annotated[int, Field(ge=1, le=100)] = 4
    """maxStep is the maximum number of server pods that are added at once."""
    max_pending: Annotated[int, Field(ge=1, le=100)] = 4
    """maxPending is the maximum number of server pods that may be starting at the same time,
    because a cold start takes minutes."""


class ScaleDown(Block):
    """ScaleDown limits how fast server pods are removed."""

    stabilization_seconds: Annotated[int, Field(ge=0, le=86_400)] = 300
    """stabilizationSeconds is how long a lower number must suffice before server pods are
    drained."""
    max_step: Annotated[int, Field(ge=1, le=100)] = 1
    """maxStep is the maximum number of server pods that are drained at once."""


class ScaleToZero(Block):
    """ScaleToZero determines when the last server pod is removed, if minReplicas is 0."""

    idle_seconds: Annotated[int, Field(ge=30, le=604_800)] = 900
    """idleSeconds is how long the fleet must be idle: no request arrived, waited or ran."""


class Scaling(Block):
    """Scaling determines who sets the number of server pods, and its limits."""

    RULES = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            message="scaling.minReplicas must not exceed scaling.maxReplicas: lower minReplicas"
            " or raise maxReplicas",
            field_path=".minReplicas",
            holds=lambda self: self.min_replicas <= self.max_replicas,
        ),
        Rule(
            cel="!has(self.schedules) || self.schedules.all(one, !has(one.minReplicas)"
            " || one.minReplicas <= self.maxReplicas)",
            message="minReplicas of a schedule must not exceed scaling.maxReplicas, which a"
            " schedule cannot raise: raise scaling.maxReplicas",
            field_path=".schedules",
            holds=lambda self: all(
                (one.min_replicas or 0) <= self.max_replicas for one in self.schedules
            ),
        ),
    )

    mode: Literal["External", "Internal"] = "External"
    """mode determines who sets the number of server pods. External: spec.replicas, which kubectl
    scale, an HPA or KEDA writes. Internal: the operator, by the demand that the routers report."""
    min_replicas: fields.Count = 1
    """minReplicas is the minimum number of server pods in mode Internal."""
    max_replicas: Annotated[int, Field(ge=1, le=500)] = 1
    """maxReplicas is the maximum number of server pods in mode Internal."""
    reserve: fields.IntOrPercent = 0
    """reserve is how many server pods run in mode Internal above what the demand needs: a number,
    or a percentage of what the demand needs. maxReplicas limits it. It ends when the fleet has been
    idle for scaleToZero.idleSeconds."""
    objective: Objective = Objective()
    """objective is what scaling in mode Internal aims at."""
    scale_up: ScaleUp = ScaleUp()
    """scaleUp limits how fast server pods are added in mode Internal."""
    scale_down: ScaleDown = ScaleDown()
    """scaleDown limits how fast server pods are removed in mode Internal."""
    scale_to_zero: ScaleToZero = ScaleToZero()
    """scaleToZero determines when the last server pod is removed in mode Internal."""
    schedules: Annotated[
        list[Schedule],
        Field(max_length=16, json_schema_extra=fields.LIST_MAP_BY_NAME),
        AfterValidator(fields.require_unique_names),
    ] = Field(default_factory=list)
    """schedules are times of the week with limits of their own, in mode Internal."""
    on_signal_loss: Literal["Hold", "MinReplicas", "MaxReplicas"] = "Hold"
    """onSignalLoss determines the number of server pods while no router reports the demand. Hold:
    it does not change. MinReplicas and MaxReplicas: it becomes that limit."""
