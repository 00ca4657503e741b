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
    """FailureStatus is one cause for which pods of a component do not work or do not exist."""

    component: Literal["server", "router", "preload", "batches"]
    """component is the part of the fleet that the pods belong to: server, router, preload or
    batches."""
    reason: str
    """reason is the cause, as one CamelCase word."""
    count: int
    """count is the number of pods with this cause."""
    sample_pod: str | None = None
    """samplePod is the name of one of these pods. It is unset if they could not be created."""
    message: str
    """message is what was observed on that pod, or why the pods could not be created."""
    hint: str
    """hint is what to do about it."""
    since: Timestamp | None = None
    """since is the time at which the first of these pods failed."""


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


class AddressStatus(StatusBlock):
    """AddressStatus is an address of the API outside of the cluster."""

    kind: str
    """kind is the kind of the object that provides the address: Service, Ingress or HTTPRoute."""
    value: str
    """value is a host name or an IP address, followed by a port that is not 80 and by a path that
    is not /, without a scheme."""


class PlanGpus(StatusBlock):
    """PlanGpus is how many GPUs the server pods request."""

    current: int
    """current is the number of GPUs now."""
    peak: int
    """peak is the highest number of GPUs at any time from now on, without those of server pods that
    are still draining by then."""
    final: int
    """final is the number of GPUs when all is done."""


class PlanStatus(StatusBlock):
    """PlanStatus is all that the operator would do if it were not paused.

    It assumes that each new server pod finds a GPU and becomes ready.
    """

    message: str
    """message is the plan in one line."""
    replaced_pods: int
    """replacedPods is the number of server pods that would be replaced."""
    created_pods: int
    """createdPods is the number of server pods that would be added."""
    removed_pods: int
    """removedPods is the number of server pods that would be removed."""
    gpus: PlanGpus
    """gpus is how many GPUs the server pods request, now and then."""
    actions: Annotated[list[str], Field(max_length=100)]
    """actions are the first 100 actions that the operator would take, in order."""


class Status(StatusBlock):
    """status is the state of the FlamingoDeployment, as last observed by the operator."""

    observed_generation: Annotated[int, Field(ge=-1, json_schema_extra={"format": "int64"})] = -1
    """observedGeneration is the metadata.generation that the status is based on. It is -1 until the
    operator has written a status."""
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
    outdated_replicas: int | None = None
    """outdatedReplicas is the number of server pods whose image is the default of another release
    of the operator. kubectl flamingo restart replaces them."""
    outdated_router_replicas: int | None = None
    """outdatedRouterReplicas is the number of router pods whose image is the default of another
    release of the operator. They are being replaced."""
    batches_ready_replicas: int | None = None
    """batchesReadyReplicas is the number of ready pods of spec.batches. It is unset without it."""
    current_revision: str | None = None
    """currentRevision is the last revision whose rollout completed."""
    update_revision: str | None = None
    """updateRevision is the revision of the spec."""
    selector: str | None = None
    """selector is the label selector of the server pods, for the scale subresource."""
    url: str | None = None
    """url is the address of the API inside the cluster."""
    addresses: Annotated[list[AddressStatus], Field(max_length=32)] = Field(default_factory=list)
    """addresses are the addresses of the API outside of the cluster, if the spec asks for any."""
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
    """failures lists the causes for which pods of the fleet do not work or could not be created."""
    draining: Annotated[list[DrainStatus], Field(max_length=100)] = Field(default_factory=list)
    """draining are the server pods that finish their requests before they are deleted."""
    avoided_nodes: Annotated[list[AvoidedNodeStatus], Field(max_length=16)] = Field(
        default_factory=list
    )
    """avoidedNodes are the nodes that no server pod is placed on, because a GPU there failed."""
    plan: PlanStatus | None = None
    """plan is what the operator would do, while spec.paused is true."""
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
