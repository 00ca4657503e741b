"""Prometheus metrics of a pod. Names: `flamingo_*`, seconds and bytes."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from flamingo.errors import FlamingoError
from flamingo.wire.report import LoadReport

DURATIONS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200)
CLIPS_S = (1, 5, 10, 30, 60, 120, 180, 300, 600, 900, 1200, 1800)


class Metrics:
    """All that a pod counts, in a registry of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        self.requests = Counter(
            "flamingo_requests", "Requests answered.", ["route", "code"], registry=registry
        )
        self.tokens = Counter(
            "flamingo_tokens", "Tokens read and written.", ["type"], registry=registry
        )
        self.audio_seconds = Counter(
            "flamingo_audio_seconds", "Seconds of audio decoded.", registry=registry
        )
        self.clip = Histogram(
            "flamingo_audio_duration_seconds",
            "Length of the clips.",
            buckets=CLIPS_S,
            registry=registry,
        )
        self.decode = _durations("flamingo_audio_decode_seconds", "Decoding a clip.", registry)
        self.first_token = _durations(
            "flamingo_time_to_first_token_seconds",
            "From a clip that is decoded to the first token.",
            registry,
        )
        self.detokenize = Counter(
            "flamingo_detokenize_seconds", "Making text of tokens.", registry=registry
        )
        self.duration = _durations(
            "flamingo_request_duration_seconds", "From request to last byte.", registry
        )

    @contextlib.contextmanager
    def detokenizing(self) -> Iterator[None]:
        """Time the block as making text of a token."""
        started_s = time.perf_counter()
        try:
            yield
        finally:
            self.detokenize.inc(time.perf_counter() - started_s)

    @contextlib.contextmanager
    def request(self, route: str) -> Iterator["Outcome"]:
        """Count one request and time it, however it ends."""
        outcome, started_s = Outcome(), time.monotonic()
        try:
            yield outcome
        except FlamingoError as error:
            outcome.status = error.status
            raise
        finally:
            self.requests.labels(route, str(outcome.status)).inc()
            self.duration.observe(time.monotonic() - started_s)


@dataclass(slots=True)
class Outcome:
    """How a request ended; 499 until it has: the client went away first."""

    status: int = 499


def _durations(name: str, documentation: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(name, documentation, buckets=DURATIONS_S, registry=registry)


class LoadCollector:
    """The load report and the engine's profile, read when scraped."""

    def __init__(
        self, report: Callable[[], LoadReport], stages: Callable[[], Mapping[str, float]]
    ) -> None:
        self._report = report
        self._stages = stages

    def collect(self) -> Iterable[Metric]:
        """Yield one gauge per figure of the report, and the seconds of each stage."""
        spent = CounterMetricFamily(
            "flamingo_engine_seconds", "Seconds the engine spent, by stage.", labels=["stage"]
        )
        for stage, seconds in self._stages().items():
            spent.add_metric([stage], seconds)
        yield spent
        report = self._report()
        gauges = {
            "flamingo_requests_running": ("Requests the engine works on.", report.num_running),
            "flamingo_requests_waiting": ("Requests that wait for it.", report.num_waiting),
            "flamingo_backlog_seconds": ("Predicted seconds of work held.", report.backlog_s),
            "flamingo_ready": ("1 when the pod takes work.", float(report.state == "ready")),
        }
        for name, (documentation, value) in gauges.items():
            yield GaugeMetricFamily(name, documentation, value=value)
