"""A pod's Prometheus metrics about its requests, named `flamingo_*`.

Those that are read at scrape time are in `gauges`.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from flamingo_common.errors import (
    BY_CODE,
    BadRequest,
    FlamingoError,
    InternalError,
    RequestTooLarge,
)
from flamingo_common.service import exposition
from flamingo_pod.engine.costs.request_stats import RequestStats

DURATIONS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200)
GAPS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10)
CLIPS_S = (1, 5, 10, 30, 60, 120, 180, 300, 600, 900, 1200, 1800)
TOKENS = (1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000, 40_000)
RATIOS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
Exemplar = Mapping[str, str] | None


class Metrics:
    """All of a pod's request metrics, in a registry of their own."""

    def __init__(self) -> None:
        registry = exposition.create_registry()
        self.registry = registry
        self.requests = Counter(
            "flamingo_requests",
            "HTTP requests, by route and status code.",
            ["route", "code"],
            registry=registry,
        )
        self.errors = Counter(
            "flamingo_errors",
            "Requests that failed, before or during the response, by error code.",
            ["code"],
            registry=registry,
        )
        # A series that begins with its first error has no rate until the second.
        for code in BY_CODE:
            self.errors.labels(code)
        self.duration = _durations(
            "flamingo_request_duration_seconds",
            "Time from receiving a request to sending the last byte of its response.",
            registry,
            ["route"],
        )
        self.tokens = Counter(
            "flamingo_tokens",
            "Tokens by type: prompts have `audio` and `text`, of which `cached` were reused;"
            " `output` was generated.",
            ["type"],
            registry=registry,
        )
        self.choices = Counter(
            "flamingo_choices",
            "Choices generated to the end, by finish reason.",
            ["finish_reason"],
            registry=registry,
        )
        self.prompt_tokens = Histogram(
            "flamingo_request_prompt_tokens",
            "Prompt tokens per request.",
            buckets=TOKENS,
            registry=registry,
        )
        self.output_tokens = Histogram(
            "flamingo_request_generation_tokens",
            "Generated tokens per request, all choices together.",
            buckets=TOKENS,
            registry=registry,
        )
        self._create_latency_metrics(registry)
        self._create_audio_metrics(registry)

    def _create_latency_metrics(self, registry: CollectorRegistry) -> None:
        self.time_to_first_token = _durations(
            "flamingo_time_to_first_token_seconds",
            "Time from the decoded clip to the first generated token, by the clip's length.",
            registry,
            ["clip_length"],
        )
        self.inter_token_latency = Histogram(
            "flamingo_inter_token_latency_seconds",
            "Time between two tokens of a choice.",
            buckets=GAPS_S,
            registry=registry,
        )
        self.queue = _durations(
            "flamingo_request_queue_time_seconds",
            "Time from the decoded clip to the first engine step.",
            registry,
        )
        self.prefill = _durations(
            "flamingo_request_prefill_time_seconds",
            "Time from the first engine step to the first generated token.",
            registry,
        )
        self.generate = _durations(
            "flamingo_request_decode_time_seconds",
            "Time from the first generated token to the last.",
            registry,
        )
        self.compute = _durations(
            "flamingo_request_compute_time_seconds",
            "A request's share of the duration of its engine steps.",
            registry,
        )
        self.detokenize = Counter(
            "flamingo_detokenize_seconds", "Time spent on detokenization.", registry=registry
        )

    def _create_audio_metrics(self, registry: CollectorRegistry) -> None:
        self.audio_seconds = Counter(
            "flamingo_audio_seconds", "Seconds of audio decoded.", registry=registry
        )
        self.audio_missing_seconds = Counter(
            "flamingo_audio_missing_seconds",
            "Seconds of audio that damaged clips have lost, and that were processed as silence.",
            registry=registry,
        )
        self.audio_duration = Histogram(
            "flamingo_audio_duration_seconds",
            "Duration of the clips.",
            buckets=CLIPS_S,
            registry=registry,
        )
        self.audio_decode = _durations(
            "flamingo_audio_decode_seconds", "Time to decode a clip.", registry
        )
        self.audio_measure = _durations(
            "flamingo_audio_measure_seconds",
            "Time to measure tempo, key and loudness of a clip, with the wait for a worker.",
            registry,
        )
        self.audio_measurements = Counter(
            "flamingo_audio_measurements",
            "Clips to measure, by outcome: `measured`, `held` (measured before),"
            " `shared` (measured for another request at the same time) or `failed`.",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("measured", "held", "shared", "failed"):
            self.audio_measurements.labels(outcome)
        self.encode = _durations(
            "flamingo_request_encode_time_seconds",
            "Time the audio encoder spent on a request.",
            registry,
        )
        self.real_time_factor = Histogram(
            "flamingo_real_time_factor",
            "A request's compute time per second of its audio.",
            buckets=RATIOS,
            registry=registry,
        )

    @contextlib.contextmanager
    def detokenizing(self) -> Iterator[None]:
        """Time the block as detokenization."""
        started_s = time.perf_counter()
        try:
            yield
        finally:
            self.detokenize.inc(time.perf_counter() - started_s)

    @contextlib.contextmanager
    def request(self, route: str, exemplar: Exemplar = None) -> Iterator["RequestOutcome"]:
        """Count one request and time it, however it ends; `route` is one of a fixed few."""
        outcome, started_s = RequestOutcome(), time.monotonic()
        try:
            yield outcome
        except FlamingoError as error:
            outcome.status = error.status
            outcome.error = error.code
            raise
        except web.HTTPException as error:
            is_too_large = isinstance(error, web.HTTPRequestEntityTooLarge)
            outcome.status = error.status
            outcome.error = (RequestTooLarge if is_too_large else BadRequest).code
            raise
        except ConnectionResetError:
            raise  # the client disconnected
        except Exception:
            outcome.status, outcome.error = InternalError.status, InternalError.code
            raise
        finally:
            self.requests.labels(route, str(outcome.status)).inc(exemplar=_as_dict(exemplar))
            duration_s = time.monotonic() - started_s
            self.duration.labels(route).observe(duration_s, exemplar=_as_dict(exemplar))
            if outcome.error is not None:
                self.errors.labels(outcome.error).inc()

    def observe_completed(self, stats: RequestStats, exemplar: Exemplar = None) -> None:
        """Count a request that was answered in full."""
        self.compute.observe(stats.compute_s, exemplar=_as_dict(exemplar))
        spans = [
            (self.queue, stats.queue_s),
            (self.prefill, stats.prefill_s),
            (self.generate, stats.decode_s),
            (self.encode, stats.encode_s or None),
        ]
        for histogram, seconds in spans:
            if seconds is not None:
                histogram.observe(seconds, exemplar=_as_dict(exemplar))
        if stats.audio_s:
            self.real_time_factor.observe(
                stats.compute_s / stats.audio_s, exemplar=_as_dict(exemplar)
            )


@dataclass(slots=True)
class RequestOutcome:
    """How a request ended; status 499 (client disconnected) until it has."""

    status: int = 499
    error: str | None = None
    """The error code, if it failed."""


def _as_dict(exemplar: Exemplar) -> dict[str, str] | None:
    return dict(exemplar) if exemplar else None


def _durations(
    name: str, documentation: str, registry: CollectorRegistry, labels: list[str] | None = None
) -> Histogram:
    return Histogram(name, documentation, labels or [], buckets=DURATIONS_S, registry=registry)
