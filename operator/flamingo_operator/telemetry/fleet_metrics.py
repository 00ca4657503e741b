"""What Prometheus is told of each deployment: its status, read when somebody asks.

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
"""By the metric's label: the status's field."""
TRUTH = {"True": 1, "False": 0, "Unknown": -1}
LABELS = ("namespace", "name")


class FleetMetrics(Collector):
    """Reads `statuses`: each deployment's key and status. It is called from another thread."""

    def __init__(self) -> None:
        self.statuses: Callable[[], Iterable[tuple[str, Status]]] = tuple

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the metrics without samples."""
        return _families()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the metrics."""
        replicas, desired, avoided, condition = found = _families()
        for key, status in self.statuses():
            if "scaling" not in status:
                continue  # nothing was decided yet
            where = key.split("/")
            for state, field in REPLICAS.items():
                replicas.add_metric([*where, state], status.get(field, 0))
            desired.add_metric(where, status["scaling"]["desiredReplicas"])
            avoided.add_metric(where, len(status.get("avoidedNodes", ())))
            for one in status["conditions"]:
                condition.add_metric([*where, one["type"]], TRUTH[one["status"]])
        return found


def _families() -> tuple[GaugeMetricFamily, ...]:
    return (
        GaugeMetricFamily("flamingo_operator_replicas", "Servers.", labels=[*LABELS, "state"]),
        GaugeMetricFamily("flamingo_operator_desired_replicas", "Servers wanted.", labels=LABELS),
        GaugeMetricFamily(
            "flamingo_operator_avoided_nodes",
            "Nodes that get no more servers, because GPUs of theirs failed.",
            labels=LABELS,
        ),
        GaugeMetricFamily(
            "flamingo_operator_condition",
            "1: True, 0: False, -1: Unknown.",
            labels=[*LABELS, "type"],
        ),
    )
