"""What the router counts."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flamingo_router.fleet import Fleet

DECISION_BUCKETS_S = (25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3)


class Metrics:
    """One router's counters; a registry of its own, so that two can live in one process."""

    def __init__(self, fleet: Fleet) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(FleetCollector(fleet))
        self.requests = Counter(
            "flamingo_router_requests",
            "Requests answered; code 499 means that the client left first.",
            ["route", "code"],
            registry=self.registry,
        )
        self.attempts = Counter(
            "flamingo_router_upstream_attempts",
            "Tries to have a request answered, by what came of them.",
            ["endpoint", "outcome"],
            registry=self.registry,
        )
        self.retries = Counter(
            "flamingo_router_retries",
            "Requests sent to another endpoint, by why the one before gave no answer.",
            ["reason"],
            registry=self.registry,
        )
        self.audio_seconds = Counter(
            "flamingo_router_audio_seconds",
            "Seconds of audio that came in, by how the router knows.",
            ["source"],
            registry=self.registry,
        )
        self.decision_seconds = Histogram(
            "flamingo_router_decision_seconds",
            "Time to predict the cost, choose and reserve.",
            buckets=DECISION_BUCKETS_S,
            registry=self.registry,
        )


class FleetCollector(Collector):
    """Gauges that are read when somebody asks."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        """Yield what the router believes of each endpoint."""
        backlog = GaugeMetricFamily(
            "flamingo_router_backlog_seconds",
            "Predicted seconds of work left at an endpoint.",
            labels=["endpoint"],
        )
        num_open = GaugeMetricFamily(
            "flamingo_router_open_requests",
            "Requests sent to an endpoint and not yet settled.",
            labels=["endpoint"],
        )
        ready = GaugeMetricFamily(
            "flamingo_router_endpoint_ready",
            "1 if the endpoint may get work.",
            labels=["endpoint"],
        )
        for endpoint in self._fleet.endpoints(now_s=time.monotonic()):
            labels = [endpoint.address]
            backlog.add_metric(labels, endpoint.backlog_s)
            num_open.add_metric(labels, endpoint.num_open)
            ready.add_metric(labels, float(endpoint.is_ready))
        yield from (backlog, num_open, ready)
