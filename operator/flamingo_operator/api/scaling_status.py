"""The scaling, capacity, cold start and cost blocks of the status.

Figures are rounded and damped, so that the status is not written for noise.

Pure.
"""

from typing import Annotated

from pydantic import ConfigDict, Field

from flamingo_operator.api.rules import Block

Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class StatusBlock(Block):
    """Base of the blocks that the operator writes."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)


class ScalingChange(StatusBlock):
    """ScalingChange is one change of the desired number of server pods."""

    time: Timestamp
    """time is the time of the decision."""
    from_replicas: int
    """fromReplicas is the desired number before the change."""
    to_replicas: int
    """toReplicas is the desired number after the change."""
    reason: str
    """reason is the reason of the change, as one CamelCase word."""
    message: str
    """message is a human-readable explanation."""


class ScalingStatus(StatusBlock):
    """ScalingStatus is the state of scaling."""

    desired_replicas: int | None = None
    """desiredReplicas is the desired number of server pods."""
    reason: str | None = None
    """reason is what determines the number in mode Internal, as one CamelCase word."""
    bound: str | None = None
    """bound is what keeps the desired number from the number that the demand needs, such as Max,
    Stabilization or Step."""
    message: str | None = None
    """message is a human-readable explanation of what the demand needs."""
    reserve_replicas: int | None = None
    """reserveReplicas is how many of the desired server pods are in reserve."""
    history: Annotated[list[ScalingChange], Field(max_length=5)] = Field(default_factory=list)
    """history are the last changes of the desired number, oldest first."""


class ProductStatus(StatusBlock):
    """ProductStatus is the measured throughput of server pods on one GPU product."""

    product: str
    """product is the value of the node label nvidia.com/gpu.product, or unknown if the operator has
    no access to nodes."""
    audio_seconds_per_second: str
    """audioSecondsPerSecond is the duration of audio that one server pod handles per second."""


class CapacityStatus(StatusBlock):
    """CapacityStatus is the throughput of a server pod, as measured by finished requests."""

    audio_seconds_per_second: str
    """audioSecondsPerSecond is the duration of audio that a server pod handles per second, on
    average."""
    per_product: Annotated[list[ProductStatus], Field(max_length=32)] = Field(default_factory=list)
    """perProduct is the throughput for each GPU product."""


class PhasesStatus(StatusBlock):
    """PhasesStatus is the mean duration of each phase of a cold start."""

    schedule_seconds: int
    """scheduleSeconds is the time until the pod is scheduled to a node."""
    image_pull_seconds: int
    """imagePullSeconds is the time from then until the container starts, including mounting
    volumes."""
    fetch_seconds: int | None = None
    """fetchSeconds is the time to find and download the files of the model. It is unset until a
    server pod reported it."""
    load_seconds: int
    """loadSeconds is the time from then until the pod is ready, without the phases that are listed
    separately."""
    warmup_seconds: int | None = None
    """warmupSeconds is the time to process a warm-up clip. It is unset until a server pod reported
    it."""


class ColdStartStatus(StatusBlock):
    """ColdStartStatus is how long the current server pods took to become ready."""

    num_starts: int
    """numStarts is the number of server pods that are measured: those that are ready and never
    restarted."""
    p50_seconds: int
    """p50Seconds is the median duration of a cold start."""
    p95_seconds: int
    """p95Seconds is the 95th percentile of the duration of a cold start."""
    phases: PhasesStatus
    """phases is the mean duration of each phase."""


class CostStatus(StatusBlock):
    """CostStatus is what the server pods cost, computed from spec.cost."""

    per_hour: str
    """perHour is the cost per hour of all server pods that have a GPU now."""
    per_audio_hour: str | None = None
    """perAudioHour is the cost of one hour of audio, at the measured capacity and full
    utilization."""
    currency: str
    """currency is the currency of spec.cost."""
