"""The router's Prometheus metrics."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flamingo_router.balancing.balancer import Balancer

WAIT_BUCKETS_S = (0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 600)


class Metrics:
    """One router's metrics, in a registry of its own, since two routers can run in one process."""

    def __init__(self, balancer: Balancer) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(BalancerCollector(balancer))
        self.requests = Counter(
            "flamingo_router_requests",
            "HTTP requests, by route and status code; 499: the client disconnected.",
            ["route", "code"],
            registry=self.registry,
        )
        self.attempts = Counter(
            "flamingo_router_upstream_attempts",
            "Upstream attempts, by outcome.",
            ["endpoint", "outcome"],
            registry=self.registry,
        )
        self.retries = Counter(
            "flamingo_router_retries",
            "Requests retried on another endpoint, by the reason of the failed attempt.",
            ["reason"],
            registry=self.registry,
        )
        self.audio_seconds = Counter(
            "flamingo_router_audio_seconds",
            "Seconds of audio received, by how the length was determined.",
            ["source"],
            registry=self.registry,
        )
        self.wait_seconds = Histogram(
            "flamingo_router_wait_seconds",
            "Seconds from a request's admission to the choice of its endpoint.",
            ["priority"],
            buckets=WAIT_BUCKETS_S,
            registry=self.registry,
        )


class BalancerCollector(Collector):
    """Gauges of the balancer's state, read when they are scraped."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of each endpoint, and those of the queue."""
        yield from self._endpoint_gauges()
        queue = self._balancer.queue
        for name, value, help_text in (
            ("queued_requests", len(queue), "Requests waiting in the router's queue."),
            ("queued_audio_seconds", queue.audio_s, "Seconds of audio in the router's queue."),
            (
                "queued_work_seconds",
                queue.work_s,
                "Predicted seconds of work in the queue.",
            ),
        ):
            yield GaugeMetricFamily(f"flamingo_router_{name}", help_text, value=value)

    def _endpoint_gauges(self) -> Iterator[Metric]:
        gauges = [
            GaugeMetricFamily(f"flamingo_router_{name}", help_text, labels=["endpoint"])
            for name, help_text in (
                ("backlog_seconds", "Predicted seconds of work that an endpoint has left."),
                ("requests_in_flight", "Requests in flight to an endpoint."),
                ("endpoint_ready", "1 if requests are sent to the endpoint, 0 if not."),
                (
                    "endpoint_slowdown_ratio",
                    "Compute time of an endpoint, relative to the average pod of its model.",
                ),
            )
        ]
        for each in self._balancer.fleet.endpoints(now_s=time.monotonic()):
            slowdown = self._balancer.costs.slowdown(each.address)
            values = (each.backlog_s, each.num_in_flight, float(each.is_ready), slowdown)
            for gauge, value in zip(gauges, values, strict=True):
                gauge.add_metric([each.address], value)
        yield from gauges
