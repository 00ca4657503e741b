"""The `monitoring` block: how Prometheus finds the pods.

Pure.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from flamingo_operator.api import durations, fields, names
from flamingo_operator.api.durations import Duration
from flamingo_operator.api.metadata import ObjectMetadata
from flamingo_operator.api.rules import Block, Rule


class PodMonitor(ObjectMetadata):
    """PodMonitor is the object that makes Prometheus scrape the server and router pods."""

    RULES = (
        *ObjectMetadata.RULES,
        Rule(
            cel="!has(self.interval) || !has(self.scrapeTimeout)"
            " || duration(self.scrapeTimeout) <= duration(self.interval)",
            message="podMonitor.scrapeTimeout must not be longer than podMonitor.interval, or the"
            " Prometheus operator rejects the PodMonitor: lower scrapeTimeout",
            holds=lambda self: (
                self.interval is None
                or self.scrape_timeout is None
                or durations.seconds(self.scrape_timeout) <= durations.seconds(self.interval)
            ),
        ),
    )

    enabled: bool = True
    """enabled determines whether the PodMonitor is created where the cluster has that kind, which
    belongs to the Prometheus operator."""
    labels: fields.Labels = Field(default_factory=dict)
    """labels are added to the labels of the PodMonitor. Prometheus selects PodMonitors by them: the
    chart kube-prometheus-stack by release, which is the name of its Helm release."""
    interval: Duration | None = None
    """interval is the time between two scrapes, such as 15s. If unset, it is the interval of
    Prometheus."""
    scrape_timeout: Duration | None = None
    """scrapeTimeout is the timeout of one scrape, such as 10s. If unset, it is the timeout of
    Prometheus."""
    pod_target_labels: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=317)]],
        Field(max_length=32, json_schema_extra=fields.LIST_SET),
        AfterValidator(fields.require_unique),
    ] = Field(default=[names.DEPLOYMENT_LABEL, names.COMPONENT_LABEL])
    """podTargetLabels are the labels of pods that are added to their metrics. By default they name
    the FlamingoDeployment, and tell server pods from routers."""


class Monitoring(Block):
    """Monitoring configures how Prometheus finds the pods."""

    pod_monitor: PodMonitor = PodMonitor()
    """podMonitor configures the PodMonitor of the server and router pods."""
