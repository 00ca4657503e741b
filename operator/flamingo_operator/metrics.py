"""What Prometheus is told of the operator."""

import contextlib
from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from flamingo_operator.life_metrics import LifeMetrics

REPLICAS = {
    "ready": "readyReplicas",
    "pending": "pendingReplicas",
    "loading": "loadingReplicas",
    "draining": "drainingReplicas",
    "updated": "updatedReplicas",
}
"""By the metric's label: the status's field."""
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)


class Metrics:
    """The operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.lives = LifeMetrics(self.registry)
        self._shown: dict[str, set[str]] = {}
        of: dict[str, Any] = {"registry": self.registry}
        labels = ["namespace", "name"]
        self.reconcile_s = Histogram(
            "flamingo_operator_reconcile_seconds", "One pass.", buckets=BUCKETS_S, **of
        )
        self.errors = Counter(
            "flamingo_operator_reconcile_errors", "Passes that failed.", ["reason"], **of
        )
        self.queue_depth = Gauge("flamingo_operator_queue_depth", "Deployments due.", **of)
        self.writes = Gauge("flamingo_operator_writes", "Writes to the API since the start.", **of)
        self.is_leading = Gauge("flamingo_operator_leading", "1 while this replica leads.", **of)
        self.watch_age_s = Gauge(
            "flamingo_operator_watch_last_event_age_seconds",
            "Since the quietest watch was last heard.",
            **of,
        )
        self.replicas = Gauge("flamingo_operator_replicas", "Servers.", [*labels, "state"], **of)
        self.desired = Gauge("flamingo_operator_desired_replicas", "Servers wanted.", labels, **of)
        self.needed = Gauge(
            "flamingo_operator_demand_servers", "Servers that the demand would take.", labels, **of
        )
        self.capacity = Gauge(
            "flamingo_operator_capacity_audio_seconds_per_second",
            "Audio that a mean server takes.",
            labels,
            **of,
        )
        self.avoided = Gauge(
            "flamingo_operator_avoided_nodes",
            "Nodes that get no more servers, because GPUs of theirs failed.",
            labels,
            **of,
        )
        self.router_reads = Counter(
            "flamingo_operator_router_reads", "Routers asked for the demand.", ["result"], **of
        )
        self.condition = Gauge(
            "flamingo_operator_condition",
            "1: True, 0: False, -1: Unknown.",
            [*labels, "type"],
            **of,
        )

    def show(self, key: str, status: Mapping[str, Any]) -> None:
        """Show what a status says."""
        namespace, name = key.split("/")
        for state, field in REPLICAS.items():
            self.replicas.labels(namespace, name, state).set(status.get(field, 0))
        self.desired.labels(namespace, name).set(status.get("scaling", {})["desiredReplicas"])
        self.avoided.labels(namespace, name).set(len(status.get("avoidedNodes", ())))
        values = {"True": 1, "False": 0}
        types = {one["type"]: one["status"] for one in status["conditions"]}
        for kind, said in types.items():
            self.condition.labels(namespace, name, kind).set(values.get(said, -1))
        for gone in self._shown.get(key, set()) - types.keys():
            self.condition.remove(namespace, name, gone)
        self._shown[key] = set(types)

    def show_demand(self, key: str, needed: float | None, audio_s_per_s: float | None) -> None:
        """Show what the demand calls for; None where it decides nothing."""
        namespace, name = key.split("/")
        for gauge, figure in ((self.needed, needed), (self.capacity, audio_s_per_s)):
            if figure is None:
                _remove(gauge, namespace, name)
            else:
                gauge.labels(namespace, name).set(figure)

    def forget(self, key: str) -> None:
        """Show nothing more of a deployment that is gone."""
        self.lives.forget(key)
        namespace, name = key.split("/")
        shown = self._shown.pop(key, None)
        if shown is None:
            return
        for kind in shown:
            self.condition.remove(namespace, name, kind)
        for state in REPLICAS:
            self.replicas.remove(namespace, name, state)
        self.desired.remove(namespace, name)
        self.avoided.remove(namespace, name)
        self.show_demand(key, None, None)


def _remove(gauge: Gauge, *labels: str) -> None:
    with contextlib.suppress(KeyError):
        gauge.remove(*labels)
