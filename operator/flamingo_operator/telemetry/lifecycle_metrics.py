"""What Prometheus is told of what happened: decisions, starts and drains."""

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from flamingo_operator.cluster.cold_start import ColdStartPhases
from flamingo_operator.telemetry.server_lifecycle import EndedDrain

BUCKETS_S = (1, 2, 5, 10, 20, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600)
PHASES = {"schedule": "schedule_s", "image_pull": "image_pull_s", "total": "total_s"}
"""By the metric's label: the field of a start."""
PROCESS_PHASES = {"fetch": "fetch_s", "load": "load_s", "warmup": "warm_s"}
"""Those that only the process knows."""


class LifecycleMetrics:
    """Counters and histograms. They know only what this process saw."""

    def __init__(self, registry: CollectorRegistry) -> None:
        of: dict[str, Any] = {"registry": registry}
        labels = ["namespace", "name"]
        self.scale_decisions = Counter(
            "flamingo_operator_scale_decisions",
            "Changes of the number wanted, or of what keeps it from the need; in mode Internal.",
            [*labels, "bound"],
            **of,
        )
        # By fleet they would be a hundred series each: the status has the starts of a fleet.
        self.cold_start_s = Histogram(
            "flamingo_operator_cold_start_seconds",
            "From a server's creation to its first readiness, by part; `total` is all of it."
            " `fetch`, `load` and `warmup` come when a router was asked.",
            ["phase"],
            buckets=BUCKETS_S,
            **of,
        )
        self.drain_s = Histogram(
            "flamingo_operator_drain_seconds",
            "From the beginning of a drain until the server is gone.",
            buckets=BUCKETS_S,
            **of,
        )
        self.drains = Counter(
            "flamingo_operator_drains",
            "Drains that ended: `finished`, cut at their `deadline`, or `taken_back`.",
            [*labels, "result"],
            **of,
        )

    def count_scale_decision(self, key: str, bound: str) -> None:
        """Count that scaling decided something new."""
        self.scale_decisions.labels(*key.split("/"), bound).inc()

    def observe_starts(
        self, starts: Iterable[ColdStartPhases], parts: Iterable[ColdStartPhases]
    ) -> None:
        """Count servers that became ready, and what processes told of it."""
        for told, fields in ((starts, PHASES), (parts, PROCESS_PHASES)):
            for one in told:
                for phase, field in fields.items():
                    self.cold_start_s.labels(phase).observe(getattr(one, field))

    def count_drains(self, key: str, drains: Iterable[EndedDrain]) -> None:
        """Count drains that ended."""
        for one in drains:
            self.drains.labels(*key.split("/"), one.end).inc()
            if one.end != "taken_back":
                self.drain_s.observe(one.took_s)

    def remove(self, key: str) -> None:
        """Show nothing more of a deployment that is gone."""
        namespace, name = key.split("/")
        for counter in (self.scale_decisions, self.drains):
            counter.remove_by_labels({"namespace": namespace, "name": name})
