"""Counters and histograms of what happened: scaling decisions, starts and drains."""

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from flamingo_operator.cluster.cold_start import ColdStartPhases
from flamingo_operator.telemetry.server_lifecycle import DRAIN_RESULTS, EndedDrain

BUCKETS_S = (1, 2, 5, 10, 20, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600)
PHASES = {"schedule": "schedule_s", "image_pull": "image_pull_s", "total": "total_s"}
"""Phases known from the pod's object: the label's value, and the field of a start."""
PROCESS_PHASES = {"fetch": "fetch_s", "load": "load_s", "warmup": "warm_s"}
"""Phases that the pod's process reports."""


class LifecycleMetrics:
    """Metrics of events that this process observed itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        of: dict[str, Any] = {"registry": registry}
        labels = ["namespace", "name"]
        self.scale_decisions = Counter(
            "flamingo_operator_scale_decisions",
            "Changes of the desired number of server pods or of the limit that applies to it;"
            " in scaling mode Internal.",
            [*labels, "bound"],
            **of,
        )
        # Labelled by deployment this would be a hundred series each; the status has the
        # cold starts of each deployment.
        self.cold_start_s = Histogram(
            "flamingo_operator_cold_start_seconds",
            "Time from a server pod's creation until it is ready for the first time, by phase;"
            " `total` is the sum. `fetch`, `load` and `warmup` are known once a router"
            " reported them.",
            ["phase"],
            buckets=BUCKETS_S,
            **of,
        )
        self.drain_s = Histogram(
            "flamingo_operator_drain_seconds",
            "Time from the start of a drain until the server pod is deleted.",
            buckets=BUCKETS_S,
            **of,
        )
        self.drains = Counter(
            "flamingo_operator_drains",
            "Drains that ended, by result: `finished`, `deadline` (requests were still in"
            " flight) or `cancelled` (the pod serves again).",
            [*labels, "result"],
            **of,
        )

    def count_scale_decision(self, key: str, bound: str) -> None:
        """Count a new desired number, or a new limit of it."""
        self.scale_decisions.labels(*key.split("/"), bound).inc()

    def observe_starts(
        self, starts: Iterable[ColdStartPhases], process_phases: Iterable[ColdStartPhases]
    ) -> None:
        """Observe the phases of starts, and of starts whose process reported its own phases."""
        for observed, fields in ((starts, PHASES), (process_phases, PROCESS_PHASES)):
            for one in observed:
                for phase, field in fields.items():
                    self.cold_start_s.labels(phase).observe(getattr(one, field))

    def count_drains(self, key: str, drains: Iterable[EndedDrain]) -> None:
        """Count drains that ended; the duration of a cancelled one is not observed."""
        for result in DRAIN_RESULTS:  # a series that begins with its first drain has no increase
            self.drains.labels(*key.split("/"), result)
        for one in drains:
            self.drains.labels(*key.split("/"), one.result).inc()
            if one.result != "cancelled":
                self.drain_s.observe(one.duration_s)

    def remove(self, key: str) -> None:
        """Remove the series of a deployment that was deleted."""
        namespace, name = key.split("/")
        for counter in (self.scale_decisions, self.drains):
            counter.remove_by_labels({"namespace": namespace, "name": name})
