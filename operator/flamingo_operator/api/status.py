"""The status of a FlamingoDeployment, as the operator writes it.

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
    """Condition describes one aspect of the state of the FlamingoDeployment."""

    type: Annotated[str, Field(max_length=316)]
    """type is the type of the condition, such as Ready."""
    status: Literal["True", "False", "Unknown"]
    """status is the status of the condition: True, False or Unknown."""
    reason: Annotated[
        str,
        Field(min_length=1, max_length=1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
    ]
    """reason is the reason for the status, as one CamelCase word."""
    message: Annotated[str, Field(max_length=32_768)]
    """message is a human-readable explanation."""
    last_transition_time: Timestamp
    """lastTransitionTime is the time of the last change of status."""
    observed_generation: Generation | None = None
    """observedGeneration is the metadata.generation that the condition is based on."""


class FailureStatus(StatusBlock):
    """FailureStatus is one cause of server pod failures."""

    reason: str
    """reason is the cause, as one CamelCase word."""
    count: int
    """count is the number of server pods with this cause."""
    sample_pod: str
    """samplePod is the name of one of these server pods."""
    message: str
    """message is what was observed on that server pod."""
    hint: str
    """hint is what to do about it."""
    since: Timestamp | None = None
    """since is the time at which the first of these server pods failed."""


class DrainStatus(StatusBlock):
    """DrainStatus is a server pod that finishes its requests before it is deleted."""

    pod: str
    """pod is the name of the server pod."""
    deadline: Timestamp | None = None
    """deadline is the time at which the server pod is deleted at the latest."""


class AvoidedNodeStatus(StatusBlock):
    """AvoidedNodeStatus is a node that no server pod of this FlamingoDeployment is placed on."""

    node: str
    """node is the name of the node."""
    reason: str
    """reason is the cause, as one CamelCase word."""
    message: str
    """message is what was observed on a server pod of the node."""
    since: Timestamp
    """since is the time since which the node has been avoided."""
    boot_id: str | None = Field(default=None, alias="bootID")
    """bootID is the boot ID that the node had at that time. After a reboot the node is no longer
    avoided."""


class PlanStatus(StatusBlock):
    """PlanStatus is what the operator would do, in mode Plan."""

    num_gpus: int
    """numGpus is the number of GPUs that would be added or, if negative, released."""
    actions: Annotated[list[str], Field(max_length=100)]
    """actions are the actions that the operator would take, in order."""


class Status(StatusBlock):
    """status is the state of the FlamingoDeployment, as last observed by the operator."""

    observed_generation: Generation | None = None
    """observedGeneration is the metadata.generation that the status is based on."""
    replicas: int | None = None
    """replicas is the number of server pods, without those that are draining or terminating."""
    ready_replicas: int | None = None
    """readyReplicas is the number of ready server pods."""
    updated_replicas: int | None = None
    """updatedReplicas is the number of server pods of the update revision."""
    pending_replicas: int | None = None
    """pendingReplicas is the number of server pods that wait for a node."""
    loading_replicas: int | None = None
    """loadingReplicas is the number of server pods that download or load the model."""
    draining_replicas: int | None = None
    """drainingReplicas is the number of server pods that are draining or terminating."""
    current_revision: str | None = None
    """currentRevision is the last revision whose rollout completed."""
    update_revision: str | None = None
    """updateRevision is the revision of the spec."""
    selector: str | None = None
    """selector is the label selector of the server pods, for the scale subresource."""
    url: str | None = None
    """url is the address of the API inside the cluster."""
    scaling: ScalingStatus | None = None
    """scaling is the state of scaling."""
    capacity: CapacityStatus | None = None
    """capacity is the measured throughput of a server pod. It is unset until it was measured, and
    without routers."""
    cold_start: ColdStartStatus | None = None
    """coldStart is how long the current server pods took to become ready."""
    cost: CostStatus | None = None
    """cost is what the server pods cost, if spec.cost is set."""
    failures: Annotated[list[FailureStatus], Field(max_length=32)] = Field(default_factory=list)
    """failures lists the causes of server pod failures."""
    draining: Annotated[list[DrainStatus], Field(max_length=100)] = Field(default_factory=list)
    """draining are the server pods that finish their requests before they are deleted."""
    avoided_nodes: Annotated[list[AvoidedNodeStatus], Field(max_length=16)] = Field(
        default_factory=list
    )
    """avoidedNodes are the nodes that no server pod is placed on, because a GPU there failed."""
    plan: PlanStatus | None = None
    """plan is what the operator would do, in mode Plan."""
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
    """conditions describe the state of the FlamingoDeployment. Ready is the summary."""
