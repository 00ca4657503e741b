"""What Prometheus is told of the operator."""

import contextlib
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from flamingo_operator.telemetry.fleet_metrics import LABELS, FleetMetrics
from flamingo_operator.telemetry.lifecycle_metrics import LifecycleMetrics

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)


class Metrics:
    """The operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.lifecycle = LifecycleMetrics(self.registry)
        self.fleets = FleetMetrics()
        self.registry.register(self.fleets)
        of: dict[str, Any] = {"registry": self.registry}
        self.reconcile_s = Histogram(
            "flamingo_operator_reconcile_seconds", "One pass.", buckets=BUCKETS_S, **of
        )
        self.errors = Counter(
            "flamingo_operator_reconcile_errors", "Passes that failed.", ["reason"], **of
        )
        self.queue_depth = Gauge("flamingo_operator_queue_depth", "Deployments due.", **of)
        self.writes = Gauge("flamingo_operator_writes", "Writes to the API since the start.", **of)
        self.is_leader = Gauge("flamingo_operator_leading", "1 while this replica leads.", **of)
        self.watch_age_s = Gauge(
            "flamingo_operator_watch_last_event_age_seconds",
            "Since the quietest watch was last heard.",
            **of,
        )
        self.demand_servers = Gauge(
            "flamingo_operator_demand_servers", "Servers that the demand would take.", LABELS, **of
        )
        self.capacity = Gauge(
            "flamingo_operator_capacity_audio_seconds_per_second",
            "Audio that a mean server takes.",
            LABELS,
            **of,
        )
        self.router_reads = Counter(
            "flamingo_operator_router_reads", "Routers asked for the demand.", ["result"], **of
        )

    def set_demand(self, key: str, needed: float | None, audio_s_per_s: float | None) -> None:
        """Show what the demand calls for; None where it decides nothing."""
        namespace, name = key.split("/")
        for gauge, figure in ((self.demand_servers, needed), (self.capacity, audio_s_per_s)):
            if figure is None:
                _remove(gauge, namespace, name)
            else:
                gauge.labels(namespace, name).set(figure)

    def remove(self, key: str) -> None:
        """Show nothing more of a deployment that is gone."""
        self.lifecycle.remove(key)
        self.set_demand(key, None, None)


def _remove(gauge: Gauge, *labels: str) -> None:
    with contextlib.suppress(KeyError):
        gauge.remove(*labels)
