"""What scaling saw and decided, as types: how many servers, why, and what they are worth.

Figures are rounded and held: a status is written for what changed, not for noise.

Pure.
"""

from typing import Annotated

from pydantic import ConfigDict, Field

from flamingo_operator.api.rules import Block

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class StatusBlock(Block):
    """Base of what we write ourselves."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)


class ScalingChange(StatusBlock):
    """One change of the number of servers."""

    time: Timestamp
    """When it was decided."""
    from_replicas: int
    """Servers wanted before."""
    to_replicas: int
    """Servers wanted since."""
    reason: str
    """Why, in one CamelCase word."""
    message: str
    """Why, in a sentence."""


class ScalingStatus(StatusBlock):
    """What scaling aims at now."""

    desired_replicas: int | None = None
    """The number of servers steered to."""
    reason: str | None = None
    """What calls for them, in one CamelCase word; in mode Internal."""
    bound: str | None = None
    """What keeps the number from what is needed; None: nothing does."""
    message: str | None = None
    """What is needed, in a sentence."""
    history: Annotated[list[ScalingChange], Field(max_length=5)] = Field(default_factory=list)
    """The last changes, oldest first."""


class ProductStatus(StatusBlock):
    """What servers on one GPU product take."""

    product: str
    """The node's label nvidia.com/gpu.product; unknown where nodes cannot be seen."""
    audio_seconds_per_second: str
    """Measured, of one server."""


class CapacityStatus(StatusBlock):
    """What one server takes, as measured by finished requests."""

    audio_seconds_per_second: str
    """Of a mean server."""
    per_product: Annotated[list[ProductStatus], Field(max_length=32)] = Field(default_factory=list)
    """By GPU product."""


class PhasesStatus(StatusBlock):
    """Mean seconds of each part of a cold start."""

    schedule_seconds: int
    """Until there is a node."""
    image_pull_seconds: int
    """From there to the container's start, volumes included."""
    fetch_seconds: int | None = None
    """The process finds and downloads the model's files; None: no server told it yet."""
    load_seconds: int
    """From there to readiness, but for what is told apart."""
    warmup_seconds: int | None = None
    """Until a warm-up clip was answered; None: no server told it yet."""


class ColdStartStatus(StatusBlock):
    """How long the servers that are up took to become ready."""

    num_starts: int
    """Servers it tells of: those that are ready and never began anew."""
    p50_seconds: int
    """The usual start."""
    p95_seconds: int
    """The slow one."""
    phases: PhasesStatus
    """What it consists of."""


class CostStatus(StatusBlock):
    """What the servers cost, by spec.cost."""

    per_hour: str
    """Of all servers that hold a GPU now."""
    per_audio_hour: str | None = None
    """Of an hour of audio, at measured capacity and full use."""
    currency: str
    """As in the spec."""
