"""What the `server` and `router` blocks have in common: the fields of a pod.

Pure.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field

from flamingo_operator.api import fields, quantity
from flamingo_operator.api.core_field import CoreField
from flamingo_operator.api.metadata import not_reserved
from flamingo_operator.api.rules import Block, Rule

Json: TypeAlias = dict[str, Any]
"""A value whose schema is that of core/v1."""


class EnvVar(Block):
    """EnvVar is an environment variable of the container."""

    name: fields.ShortText
    """name is the name of the variable. FLAMINGO_* is reserved for the operator."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """value is the value of the variable."""
    value_from: dict[str, Any] | None = None
    """valueFrom is the source of the value."""


class SecretName(Block):
    """SecretName selects a Secret in the namespace of the FlamingoDeployment."""

    name: fields.Name
    """name is the name of the Secret."""


class Resources(Block):
    """Resources are the requests and limits of a container, as in a pod."""

    RULES = (
        Rule(
            cel="!has(self.requests) || !has(self.limits) || self.requests.all(k,"
            " !(k in self.limits) || quantity(string(self.requests[k])).compareTo("
            "quantity(string(self.limits[k]))) <= 0)",
            message="resources.requests must not exceed resources.limits: lower the request or"
            " raise the limit",
            field_path=".requests",
            holds=lambda self: all(
                name not in self.limits
                or quantity.parse(value) <= quantity.parse(self.limits[name])
                for name, value in self.requests.items()
            ),
        ),
    )

    requests: fields.Quantities = Field(default_factory=dict)
    """requests are the resources that the scheduler reserves."""
    limits: fields.Quantities = Field(default_factory=dict)
    """limits are the resources that the container must not exceed."""


class PodMetadata(Block):
    """PodMetadata is added to the metadata of pods, for example for service meshes and queues."""

    RULES = (not_reserved("labels"), not_reserved("annotations"))

    labels: fields.Labels = Field(default_factory=dict)
    """labels are added to the labels of the pods."""
    annotations: fields.Annotations = Field(default_factory=dict)
    """annotations are added to the annotations of the pods."""


class DisruptionBudget(Block):
    """DisruptionBudget limits how many pods may be evicted at once."""

    RULES = (
        Rule(
            cel="has(self.minAvailable) != has(self.maxUnavailable)",
            message="exactly one of pdb.minAvailable and pdb.maxUnavailable must be set",
            holds=lambda self: (self.min_available is None) != (self.max_unavailable is None),
        ),
    )

    min_available: fields.IntOrPercent | None = None
    """minAvailable is the number of pods that must stay available, or a percentage such as 50%."""
    max_unavailable: fields.IntOrPercent | None = None
    """maxUnavailable is the number of pods that may be unavailable, or a percentage."""


class PodBlock(Block):
    """PodBlock is the base of `server` and `router`, whose pods have these fields in common."""

    image: fields.Image | None = None
    """image is the container image. If unset, the image of the operator's release is used."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """imagePullPolicy determines when the image is pulled."""
    image_pull_secrets: Annotated[
        list[SecretName],
        Field(max_length=8, json_schema_extra=fields.LIST_MAP_BY_NAME),
        AfterValidator(fields.require_unique_names),
    ] = Field(default_factory=list)
    """imagePullSecrets are Secrets with credentials for the image registry."""
    args: Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=64)] = Field(
        default_factory=list
    )
    """args are additional flags of the program, such as --log-level=debug."""
    env: Annotated[list[EnvVar], CoreField("Container", "env")] = Field(default_factory=list)
    """env are environment variables of the container."""
    env_from: Annotated[list[Json], CoreField("Container", "envFrom", 1)] = Field(
        default_factory=list
    )
    """envFrom are ConfigMaps and Secrets whose entries become environment variables."""
    resources: Resources = Resources()
    """resources are the requests and limits of the container. A resource that has neither gets
    the operator's default."""
    pod_metadata: PodMetadata = PodMetadata()
    """podMetadata is added to the metadata of the pods."""
    node_selector: Annotated[dict[str, str], CoreField("PodSpec", "nodeSelector")] = Field(
        default_factory=dict
    )
    """nodeSelector lists the labels that a node must have to run one of the pods."""
    tolerations: Annotated[list[Json], CoreField("PodSpec", "tolerations", 1)] = Field(
        default_factory=list
    )
    """tolerations are the taints of nodes that the pods tolerate."""
    affinity: Annotated[Json | None, CoreField("PodSpec", "affinity", 1)] = None
    """affinity prefers or requires nodes, and the company of other pods."""
    topology_spread_constraints: Annotated[
        list[Json], CoreField("PodSpec", "topologySpreadConstraints", 1)
    ] = Field(default_factory=list)
    """topologySpreadConstraints determine how the pods spread across zones or nodes. If
    labelSelector is unset, it selects the pods of this block of this FlamingoDeployment."""
    priority_class_name: fields.Name | None = None
    """priorityClassName is the PriorityClass of the pods."""
    scheduler_name: fields.Name | None = None
    """schedulerName is the scheduler of the pods. If unset, it is the scheduler of the cluster."""
    service_account_name: fields.Name | None = None
    """serviceAccountName is the ServiceAccount of the pods. If unset, it is one that the operator
    creates."""
    security_context: Annotated[Json | None, CoreField("PodSpec", "securityContext", 1)] = None
    """securityContext is the security context of the pods. If set, it replaces the operator's,
    which sets runAsNonRoot, runAsUser, runAsGroup, fsGroup and seccompProfile."""
    volumes: Annotated[list[Json], CoreField("PodSpec", "volumes", 1)] = Field(default_factory=list)
    """volumes are additional volumes of the pods, such as one with CA certificates."""
    volume_mounts: Annotated[list[Json], CoreField("Container", "volumeMounts", 1)] = Field(
        default_factory=list
    )
    """volumeMounts mount volumes in the container."""
    pdb: DisruptionBudget | None = None
    """pdb is the PodDisruptionBudget of the pods. If unset, maxUnavailable is 1."""
