"""What the operator saw, as types: the part of the status that others read.

The scale subresource, `kubectl get` and `kubectl wait` read these fields.

Pure.
"""

from typing import Annotated, Literal

from pydantic import Field

from flamingo_operator.rules import Block

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Generation = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]


class Condition(Block):
    """A claim about the deployment, in Kubernetes' own form."""

    type: Annotated[str, Field(max_length=316)]
    """What is claimed, such as Ready."""
    status: Literal["True", "False", "Unknown"]
    """Whether it is so."""
    reason: Annotated[
        str,
        Field(min_length=1, max_length=1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
    ]
    """Why, in one CamelCase word."""
    message: Annotated[str, Field(max_length=32_768)]
    """Why, in a sentence."""
    last_transition_time: Moment
    """Since when."""
    observed_generation: Generation | None = None
    """The spec it speaks of."""


class ScalingStatus(Block):
    """What scaling aims at now."""

    desired_replicas: int | None = None
    """The number of servers steered to."""


class Status(Block):
    """What the operator saw."""

    observed_generation: Generation | None = None
    """The spec this status speaks of."""
    replicas: int | None = None
    """Servers that exist and are not leaving."""
    ready_replicas: int | None = None
    """Servers that answer."""
    updated_replicas: int | None = None
    """Servers of the newest revision."""
    selector: str | None = None
    """Labels of the servers' pods, for the scale subresource."""
    url: str | None = None
    """Where the deployment answers, inside the cluster."""
    scaling: ScalingStatus | None = None
    """What scaling aims at."""
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        ),
    ] = Field(default_factory=list)
    """Claims about it; Ready sums them up."""
