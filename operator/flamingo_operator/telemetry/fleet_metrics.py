"""Metrics of each FlamingoDeployment, read from its status at every scrape.

A thousand deployments are 15,000 samples. Kept as gauges they would take 10 MB.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Status: TypeAlias = Mapping[str, Any]

REPLICAS = {
    "ready": "readyReplicas",
    "pending": "pendingReplicas",
    "loading": "loadingReplicas",
    "draining": "drainingReplicas",
    "updated": "updatedReplicas",
}
"""The label's value, and the status field that it shows."""
CONDITION_VALUES = {"True": 1, "False": 0, "Unknown": -1}
LABELS = ("namespace", "name")


class FleetMetrics(Collector):
    """A collector that reads each deployment's key and status from `statuses`.

    `collect` is called from another thread.
    """

    def __init__(self) -> None:
        self.statuses: Callable[[], Iterable[tuple[str, Status]]] = tuple

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the metrics without samples."""
        return _families()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the metrics."""
        replicas, desired, avoided, condition = families = _families()
        for key, status in self.statuses():
            if "scaling" not in status:
                continue  # not reconciled yet
            labels = key.split("/")
            for state, field in REPLICAS.items():
                replicas.add_metric([*labels, state], status.get(field, 0))
            desired.add_metric(labels, status["scaling"]["desiredReplicas"])
            avoided.add_metric(labels, len(status.get("avoidedNodes", ())))
            for one in status["conditions"]:
                condition.add_metric([*labels, one["type"]], CONDITION_VALUES[one["status"]])
        return families


def _families() -> tuple[GaugeMetricFamily, ...]:
    return (
        GaugeMetricFamily(
            "flamingo_operator_replicas", "Server pods, by state.", labels=[*LABELS, "state"]
        ),
        GaugeMetricFamily(
            "flamingo_operator_desired_replicas", "Desired number of server pods.", labels=LABELS
        ),
        GaugeMetricFamily(
            "flamingo_operator_avoided_nodes",
            "Nodes that no server pod is placed on, because a GPU there failed.",
            labels=LABELS,
        ),
        GaugeMetricFamily(
            "flamingo_operator_condition",
            "Status of a condition: 1 if True, 0 if False, -1 if Unknown.",
            labels=[*LABELS, "type"],
        ),
    )
