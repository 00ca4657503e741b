"""What the router counts."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flamingo_router.balancing.balancer import Balancer

WAIT_BUCKETS_S = (0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 600)


class Metrics:
    """One router's counters; a registry of its own, so that two can live in one process."""

    def __init__(self, balancer: Balancer) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(BalancerCollector(balancer))
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
        self.wait_seconds = Histogram(
            "flamingo_router_wait_seconds",
            "Time from what was asked being known to a pod being chosen.",
            ["priority"],
            buckets=WAIT_BUCKETS_S,
            registry=self.registry,
        )


class BalancerCollector(Collector):
    """Gauges that are read when somebody asks."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer

    def collect(self) -> Iterator[Metric]:
        """Yield what the router believes of each endpoint, and what waits in it."""
        yield from self._endpoints()
        queue = self._balancer.queue
        for name, value, help_text in (
            ("queued_requests", queue.num, "Requests that wait for a pod."),
            ("queued_audio_seconds", queue.audio_s, "Seconds of audio that wait for a pod."),
            ("queued_work_seconds", queue.seconds, "Predicted seconds of work that wait."),
        ):
            yield GaugeMetricFamily(f"flamingo_router_{name}", help_text, value=value)

    def _endpoints(self) -> Iterator[Metric]:
        gauges = [
            GaugeMetricFamily(f"flamingo_router_{name}", help_text, labels=["endpoint"])
            for name, help_text in (
                ("backlog_seconds", "Predicted seconds of work left at an endpoint."),
                ("open_requests", "Requests sent to an endpoint and not yet settled."),
                ("endpoint_ready", "1 if the endpoint may get work."),
                ("endpoint_speed", "How many times as long as the usual pod it takes."),
            )
        ]
        for each in self._balancer.fleet.endpoints(now_s=time.monotonic()):
            speed = self._balancer.costs.speed(each.address)
            values = (each.backlog_s, each.num_open, float(each.is_ready), speed)
            for gauge, value in zip(gauges, values, strict=True):
                gauge.add_metric([each.address], value)
        yield from gauges
