"""The router's Prometheus metrics."""

import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flamingo_common import errors
from flamingo_common.audio import length_classes
from flamingo_common.service import exposition
from flamingo_router.balancing.balancer import Balancer
from flamingo_router.balancing.quota import Quotas

WAIT_BUCKETS_S = (0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 600)
LATENCY_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200)
ERROR_SOURCES = ("router", "pod")
Exemplar = Mapping[str, str] | None


class Metrics:
    """One router's metrics, in a registry of its own, since two routers can run in one process."""

    def __init__(self, balancer: Balancer, quotas: Quotas) -> None:
        self.registry = exposition.create_registry()
        self._balancer, self._servers = balancer, set[str]()
        self._collector = BalancerCollector(balancer)
        self.registry.register(self._collector)
        build_info = Gauge(
            "flamingo_router_build_info",
            "Version of the router; always 1.",
            ["version"],
            registry=self.registry,
        )
        build_info.labels(metadata.version("flamingo-fleet")).set(1)
        self.requests = Counter(
            "flamingo_router_requests",
            "HTTP requests, by route and status code; 499: the client disconnected.",
            ["route", "code"],
            registry=self.registry,
        )
        self.attempts = Counter(
            "flamingo_router_upstream_attempts",
            "Upstream attempts, by outcome.",
            ["server", "outcome"],
            registry=self.registry,
        )
        self.retries = Counter(
            "flamingo_router_retries",
            "Requests retried on another endpoint, by the reason of the failed attempt.",
            ["reason"],
            registry=self.registry,
        )
        self.errors = Counter(
            "flamingo_router_errors",
            "Requests that failed, before or during the response, by error code and by who has"
            " failed or rejected them: `router`, or `pod`.",
            ["code", "source"],
            registry=self.registry,
        )
        # A series that begins with its first error has no rate until the second.
        for code in errors.BY_CODE:
            for source in ERROR_SOURCES:
                self.errors.labels(code, source)
        self._create_latency_metrics()
        self.audio_seconds = Counter(
            "flamingo_router_audio_seconds",
            "Seconds of audio received, by how the length was determined.",
            ["source"],
            registry=self.registry,
        )
        Gauge(
            "flamingo_router_quota_share_ratio",
            "Part of every limit that the routers which exchange reports apply together.",
            registry=self.registry,
        ).set_function(lambda: quotas.share)
        self.wait_seconds = Histogram(
            "flamingo_router_wait_seconds",
            "Seconds from a request's admission to the choice of its endpoint.",
            ["priority"],
            buckets=WAIT_BUCKETS_S,
            registry=self.registry,
        )

    def count_attempt(self, server: str, outcome: str) -> None:
        """Count an attempt at an endpoint."""
        self._servers.add(server)
        self.attempts.labels(server, outcome).inc()

    def refresh(self) -> None:
        """Read the state of the balancer for a scrape, and drop the series of endpoints gone."""
        self._collector.refresh()
        for server in self._servers.difference(self._balancer.fleet.addresses):
            self._servers.discard(server)
            self.attempts.remove_by_labels({"server": server})

    def _create_latency_metrics(self) -> None:
        self._duration = Histogram(
            "flamingo_router_request_duration_seconds",
            "Time from receiving a request to sending the last byte of its response, by the"
            " length of its clip; of requests that succeeded.",
            ["clip_length"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._time_to_first_token = Histogram(
            "flamingo_router_time_to_first_token_seconds",
            "Time from receiving a request to the first event of its response, by the length of"
            " its clip; of streams only.",
            ["clip_length"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )

    def observe_duration(self, audio_s: float, duration_s: float, exemplar: Exemplar) -> None:
        """Observe a request that succeeded; `audio_s` is the length of its clip."""
        labelled = self._duration.labels(length_classes.clip_length(audio_s))
        labelled.observe(duration_s, exemplar=dict(exemplar) if exemplar else None)

    def observe_first_token(self, audio_s: float, after_s: float, exemplar: Exemplar) -> None:
        """Observe the first event of a stream."""
        labelled = self._time_to_first_token.labels(length_classes.clip_length(audio_s))
        labelled.observe(after_s, exemplar=dict(exemplar) if exemplar else None)


class BalancerCollector(Collector):
    """Gauges of the balancer's state, which a thread may collect after `refresh`."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._read: Sequence[Metric] | None = None

    def refresh(self) -> None:
        """Read the balancer's state."""
        self._read = list(self._families())

    def collect(self) -> Sequence[Metric]:
        """Return the gauges of each endpoint, and those of the queue, as of the last refresh."""
        return list(self._families()) if self._read is None else self._read

    def _families(self) -> Iterator[Metric]:
        yield from self._endpoint_gauges()
        queue = self._balancer.queue
        lag_s = self._balancer.fleet.lag.lost_s
        yield CounterMetricFamily(
            "flamingo_router_event_loop_lag_seconds",
            "Time by which the router was late because it had no CPU, or was suspended.",
            value=lag_s,
        )
        for name, value, help_text in (
            ("queued_requests", len(queue), "Requests waiting in the router's queue."),
            ("queued_low_requests", len(queue.low), "Requests of low priority in the queue."),
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
            GaugeMetricFamily(f"flamingo_router_{name}", help_text, labels=["server"])
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
