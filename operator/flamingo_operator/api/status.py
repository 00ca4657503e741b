"""What the operator saw, as types: the part of the status that others read.

The scale subresource, `kubectl get` and `kubectl wait` read these fields.

Pure.
"""

from typing import Annotated, Literal

from pydantic import Field

from flamingo_operator.api.scaling_status import (
    CapacityStatus,
    ColdStartStatus,
    CostStatus,
    ScalingStatus,
    StatusBlock,
    Timestamp,
)

Generation = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]


class Condition(StatusBlock):
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
    last_transition_time: Timestamp
    """Since when."""
    observed_generation: Generation | None = None
    """The spec it speaks of."""


class FailureStatus(StatusBlock):
    """Why some servers do not work."""

    reason: str
    """The cause, in one CamelCase word."""
    count: int
    """Servers that have it."""
    sample_pod: str
    """One of them."""
    message: str
    """What was seen."""
    hint: str
    """What to do."""
    since: Timestamp | None = None
    """Since when the first of them has it."""


class DrainStatus(StatusBlock):
    """A server that finishes what it holds before it leaves."""

    pod: str
    """Its pod."""
    deadline: Timestamp | None = None
    """When it leaves at the latest."""


class AvoidedNodeStatus(StatusBlock):
    """A node that gets no more servers."""

    node: str
    """Its name."""
    reason: str
    """Why, in one CamelCase word."""
    message: str
    """What was seen of a server there."""
    since: Timestamp
    """Since when."""
    boot_id: str | None = Field(default=None, alias="bootID")
    """The node's own, at that time: with another it is avoided no more."""


class PlanStatus(StatusBlock):
    """What would be done, in mode Plan."""

    num_gpus: int
    """GPUs that would be added; negative: set free."""
    actions: Annotated[list[str], Field(max_length=100)]
    """What would be done, in order."""


class Status(StatusBlock):
    """What the operator saw."""

    observed_generation: Generation | None = None
    """The spec this status speaks of."""
    replicas: int | None = None
    """Servers that exist and are not leaving."""
    ready_replicas: int | None = None
    """Servers that answer."""
    updated_replicas: int | None = None
    """Servers of the newest revision."""
    pending_replicas: int | None = None
    """Servers that wait for a node."""
    loading_replicas: int | None = None
    """Servers that fetch and load the model."""
    draining_replicas: int | None = None
    """Servers that leave."""
    current_revision: str | None = None
    """The pods' revision that last carried the load."""
    update_revision: str | None = None
    """The revision of this spec."""
    selector: str | None = None
    """Labels of the servers' pods, for the scale subresource."""
    url: str | None = None
    """Where the deployment answers, inside the cluster."""
    scaling: ScalingStatus | None = None
    """What scaling aims at."""
    capacity: CapacityStatus | None = None
    """What servers take, once it was measured; where there is a router."""
    cold_start: ColdStartStatus | None = None
    """How long servers took to become ready."""
    cost: CostStatus | None = None
    """What the servers cost, where spec.cost says it."""
    failures: Annotated[list[FailureStatus], Field(max_length=32)] = Field(default_factory=list)
    """Why servers do not work, and how many."""
    draining: Annotated[list[DrainStatus], Field(max_length=100)] = Field(default_factory=list)
    """Servers that finish what they hold."""
    avoided_nodes: Annotated[list[AvoidedNodeStatus], Field(max_length=16)] = Field(
        default_factory=list
    )
    """Nodes that get no more servers, because GPUs of theirs failed."""
    plan: PlanStatus | None = None
    """What would be done, in mode Plan."""
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
