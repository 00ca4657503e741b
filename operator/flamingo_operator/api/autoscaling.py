"""The `router.autoscaling` block, in the words of `autoscaling/v2`.

Pure.
"""

from typing import Annotated, Literal

from pydantic import Field

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block, Rule

Seconds = Annotated[int, Field(ge=0, le=3600)]


class LabelRequirement(Block):
    """LabelRequirement is a condition on one label."""

    key: fields.Name
    """key is the name of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """operator relates the label to values."""
    values: Annotated[list[fields.Label], Field(max_length=32)] = Field(default_factory=list)
    """values are the values of the label; none for Exists and DoesNotExist."""


class MetricSelector(Block):
    """MetricSelector selects series of a metric by their labels."""

    match_labels: fields.Labels = Field(default_factory=dict)
    """matchLabels are labels that a series must have."""
    match_expressions: Annotated[list[LabelRequirement], Field(max_length=16)] = Field(
        default_factory=list
    )
    """matchExpressions are conditions that a series must satisfy."""


class MetricIdentifier(Block):
    """MetricIdentifier names a metric."""

    name: fields.Name
    """name is the name of the metric."""
    selector: MetricSelector | None = None
    """selector selects series of the metric. If unset, all series count."""


class MetricTarget(Block):
    """MetricTarget is the value of a metric that the HorizontalPodAutoscaler aims at."""

    type: Literal["Utilization", "Value", "AverageValue"]
    """type determines which of the values is used."""
    average_utilization: Annotated[int, Field(ge=1)] | None = None
    """averageUtilization is a percentage of what the pods request, on average."""
    value: fields.Quantity | None = None
    """value is the value of the metric."""
    average_value: fields.Quantity | None = None
    """averageValue is the value of the metric divided by the number of pods."""


class ResourceMetric(Block):
    """ResourceMetric is the usage of a resource by the router pods."""

    name: fields.Name
    """name is the resource, such as cpu or memory."""
    target: MetricTarget
    """target is the value to aim at."""


class ContainerResourceMetric(Block):
    """ContainerResourceMetric is the usage of a resource by one container of the router pods."""

    name: fields.Name
    """name is the resource, such as cpu or memory."""
    container: fields.Name
    """container is the name of the container; that of the router is router."""
    target: MetricTarget
    """target is the value to aim at."""


class PodsMetric(Block):
    """PodsMetric is a metric of the router pods, which a metrics adapter provides."""

    metric: MetricIdentifier
    """metric names the metric."""
    target: MetricTarget
    """target is the value to aim at."""


class DescribedObject(Block):
    """DescribedObject names the object that a metric describes."""

    kind: fields.Name
    """kind is the kind of the object."""
    name: fields.Name
    """name is the name of the object."""
    api_version: fields.Name | None = None
    """apiVersion is the API version of the object."""


class ObjectMetric(Block):
    """ObjectMetric is a metric that describes another object."""

    described_object: DescribedObject
    """describedObject is that object."""
    metric: MetricIdentifier
    """metric names the metric."""
    target: MetricTarget
    """target is the value to aim at."""


class ExternalMetric(Block):
    """ExternalMetric is a metric from outside of the cluster, which a metrics adapter provides."""

    metric: MetricIdentifier
    """metric names the metric."""
    target: MetricTarget
    """target is the value to aim at."""


MetricSource = Literal["Resource", "ContainerResource", "Pods", "Object", "External"]


class MetricSpec(Block):
    """MetricSpec is one metric by which the number of router pods is determined."""

    RULES = (
        Rule(
            cel="has(self.resource) == (self.type == 'Resource')"
            " && has(self.containerResource) == (self.type == 'ContainerResource')"
            " && has(self.pods) == (self.type == 'Pods')"
            " && has(self.object) == (self.type == 'Object')"
            " && has(self.external) == (self.type == 'External')",
            message="exactly the block of the metric's type must be set: resource,"
            " containerResource, pods, object or external",
            holds=lambda self: self.given_types == {self.type},
        ),
    )

    type: MetricSource
    """type is the source of the metric."""
    resource: ResourceMetric | None = None
    """resource is set for type Resource."""
    container_resource: ContainerResourceMetric | None = None
    """containerResource is set for type ContainerResource."""
    pods: PodsMetric | None = None
    """pods is set for type Pods."""
    object: ObjectMetric | None = None
    """object is set for type Object."""
    external: ExternalMetric | None = None
    """external is set for type External."""

    @property
    def given_types(self) -> set[str]:
        """The types whose blocks are set."""
        return {
            name
            for name, block in (
                ("Resource", self.resource),
                ("ContainerResource", self.container_resource),
                ("Pods", self.pods),
                ("Object", self.object),
                ("External", self.external),
            )
            if block is not None
        }


class ScalingPolicy(Block):
    """ScalingPolicy limits the change of the number of router pods within a period."""

    type: Literal["Pods", "Percent"]
    """type is the unit of value."""
    value: Annotated[int, Field(ge=1, le=10_000)]
    """value is the maximum change within the period."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    """periodSeconds is the length of the period."""


class ScalingRules(Block):
    """ScalingRules determine how fast the number of router pods changes in one direction."""

    stabilization_window_seconds: Seconds | None = None
    """stabilizationWindowSeconds is how long past recommendations are considered."""
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    """selectPolicy determines which of the policies applies."""
    policies: Annotated[list[ScalingPolicy], Field(max_length=16)] = Field(default_factory=list)
    """policies limit the change."""


class ScalingBehavior(Block):
    """ScalingBehavior determines how fast the number of router pods changes."""

    scale_up: ScalingRules | None = None
    """scaleUp are the rules for adding router pods."""
    scale_down: ScalingRules | None = None
    """scaleDown are the rules for removing router pods."""


class RouterAutoscaling(Block):
    """RouterAutoscaling configures the HorizontalPodAutoscaler of the router pods."""

    RULES = (
        Rule(
            cel="self.minReplicas <= self.maxReplicas",
            message="minReplicas must not exceed maxReplicas: lower minReplicas or raise"
            " maxReplicas",
            holds=lambda self: self.min_replicas <= self.max_replicas,
        ),
    )

    min_replicas: Annotated[int, Field(ge=1, le=20)] = 2
    """minReplicas is the minimum number of router pods."""
    max_replicas: Annotated[int, Field(ge=1, le=20)]
    """maxReplicas is the maximum number of router pods."""
    target_cpu_utilization_percentage: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        default=None, alias="targetCPUUtilizationPercentage"
    )
    """targetCPUUtilizationPercentage is the target CPU utilization of the router pods, as a
    percentage of the CPU that they request. If neither it nor metrics is set, it is 80."""
    metrics: Annotated[list[MetricSpec], Field(max_length=8)] = Field(default_factory=list)
    """metrics are further metrics, as in a HorizontalPodAutoscaler. The one that requires the most
    router pods determines their number."""
    behavior: ScalingBehavior | None = None
    """behavior determines how fast the number of router pods changes, as in a
    HorizontalPodAutoscaler."""
