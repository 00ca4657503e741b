"""The operator's metrics: the registry, and the metrics that are set as things happen."""

import contextlib
from importlib import metadata
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from flamingo_common.service import exposition
from flamingo_operator.telemetry.fleet_metrics import LABELS, FleetMetrics
from flamingo_operator.telemetry.lifecycle_metrics import LifecycleMetrics

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)


class Metrics:
    """All metrics of the operator's `/metrics`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or exposition.create_registry()
        self.lifecycle = LifecycleMetrics(self.registry)
        self.fleets = FleetMetrics()
        self.registry.register(self.fleets)
        _add_build_info(self.registry)
        of: dict[str, Any] = {"registry": self.registry}
        self.reconcile_s = Histogram(
            "flamingo_operator_reconcile_seconds",
            "Duration of a reconciliation.",
            buckets=BUCKETS_S,
            **of,
        )
        self.errors = Counter(
            "flamingo_operator_reconcile_errors",
            "Reconciliations that failed and are retried, by reason.",
            ["reason"],
            **of,
        )
        self.queue_depth = Gauge(
            "flamingo_operator_queue_depth",
            "FlamingoDeployments that are due to be reconciled.",
            **of,
        )
        self.api_writes = Counter(
            "flamingo_operator_api_writes",
            "Write requests to the Kubernetes API server, without those for the Lease.",
            **of,
        )
        self.is_leader = Gauge(
            "flamingo_operator_leader", "1 if this replica is the leader, else 0.", **of
        )
        self.watch_age_s = Gauge(
            "flamingo_operator_watch_last_event_age_seconds",
            "Time since the last event of the watch that has been silent the longest.",
            **of,
        )
        self.watch_refused = Gauge(
            "flamingo_operator_watch_refused",
            "1 for each kind that the API server refuses to list, by namespace (empty: all).",
            ["kind", "watched_namespace"],
            **of,
        )
        self._add_scaling(of)

    def _add_scaling(self, of: dict[str, Any]) -> None:
        """Add what scaling in mode Internal reads."""
        self.crd_skew = Gauge(
            "flamingo_operator_crd_skew_fields",
            "Fields that differ in the served CustomResourceDefinition: missing (they are pruned),"
            " unknown to the operator (they are ignored), or changed.",
            ["difference"],
            **of,
        )
        self.demand_servers = Gauge(
            "flamingo_operator_demand_servers",
            "Server pods that the demand needs, before limits; in scaling mode Internal.",
            LABELS,
            **of,
        )
        self.capacity = Gauge(
            "flamingo_operator_capacity_audio_seconds_per_second",
            "Seconds of audio that one server pod handles per second, on average.",
            LABELS,
            **of,
        )
        self.gpus = Gauge("flamingo_operator_gpus", "GPUs that server pods have now.", LABELS, **of)
        self.router_reads = Counter(
            "flamingo_operator_router_reads",
            "Requests to router pods for their load report, by result.",
            ["result"],
            **of,
        )

    def set_refused(self, kind: str, namespace: str, is_refused: bool) -> None:
        """Set whether the API server refuses to list a kind; if not, there is no series."""
        if is_refused:
            self.watch_refused.labels(kind, namespace).set(1)
        else:
            _remove_labels(self.watch_refused, kind, namespace)

    def set_demand(self, key: str, demand: float | None, audio_s_per_s: float | None) -> None:
        """Set the metrics of a deployment's demand and capacity; None removes the series."""
        namespace, name = key.split("/")
        for gauge, value in ((self.demand_servers, demand), (self.capacity, audio_s_per_s)):
            if value is None:
                _remove_labels(gauge, namespace, name)
            else:
                gauge.labels(namespace, name).set(value)

    def set_gpus(self, key: str, num: int) -> None:
        """Set how many GPUs a deployment's server pods have."""
        self.gpus.labels(*key.split("/")).set(num)

    def remove(self, key: str) -> None:
        """Remove the series of a deployment that was deleted."""
        self.lifecycle.remove(key)
        self.set_demand(key, None, None)
        _remove_labels(self.gpus, *key.split("/"))


def _add_build_info(registry: CollectorRegistry) -> None:
    help_text = "Version of the operator; always 1."
    build_info = Gauge("flamingo_operator_build_info", help_text, ["version"], registry=registry)
    build_info.labels(metadata.version("flamingo-fleet")).set(1)


def _remove_labels(gauge: Gauge, *labels: str) -> None:
    with contextlib.suppress(KeyError):
        gauge.remove(*labels)
