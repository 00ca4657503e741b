"""What a pod counts of its requests, for Prometheus. Names: `flamingo_*`, seconds and tokens.

What is read when somebody asks is in `gauges`.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from flamingo_common.errors import BadRequest, FlamingoError, InternalError, RequestTooLarge
from flamingo_pod.engine.request_stats import RequestStats

DURATIONS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200)
GAPS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10)
CLIPS_S = (1, 5, 10, 30, 60, 120, 180, 300, 600, 900, 1200, 1800)
TOKENS = (1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000, 40_000)
RATIOS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
Exemplar = Mapping[str, str] | None


class Metrics:
    """All that a pod counts, in a registry of its own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        self.requests = Counter(
            "flamingo_requests", "Requests answered.", ["route", "code"], registry=registry
        )
        self.errors = Counter(
            "flamingo_errors",
            "Requests that failed, by the error's code, before or amid the answer.",
            ["code"],
            registry=registry,
        )
        self.duration = _durations(
            "flamingo_request_duration_seconds", "From request to last byte.", registry, ["route"]
        )
        self.tokens = Counter(
            "flamingo_tokens",
            "Tokens: `audio` and `text` were read, `cached` are among them, `output` was written.",
            ["type"],
            registry=registry,
        )
        self.choices = Counter(
            "flamingo_choices",
            "Choices answered to their end, by why it was the end.",
            ["finish_reason"],
            registry=registry,
        )
        self.prompt_tokens = Histogram(
            "flamingo_prompt_tokens", "Length of the prompts.", buckets=TOKENS, registry=registry
        )
        self.output_tokens = Histogram(
            "flamingo_output_tokens",
            "Tokens written, by all choices of a request.",
            buckets=TOKENS,
            registry=registry,
        )
        self._make_times(registry)
        self._make_audio(registry)

    def _make_times(self, registry: CollectorRegistry) -> None:
        self.first_token = _durations(
            "flamingo_time_to_first_token_seconds",
            "From a clip that is decoded to the first token.",
            registry,
        )
        self.gap = Histogram(
            "flamingo_inter_token_latency_seconds",
            "Between two tokens of a choice.",
            buckets=GAPS_S,
            registry=registry,
        )
        self.queue = _durations(
            "flamingo_queue_time_seconds", "From a decoded clip to the first step.", registry
        )
        self.prefill = _durations(
            "flamingo_prefill_time_seconds", "From the first step to the first token.", registry
        )
        self.writing = _durations(
            "flamingo_decode_time_seconds", "From the first token to the last.", registry
        )
        self.compute = _durations(
            "flamingo_compute_time_seconds", "A request's share of the engine's steps.", registry
        )
        self.detokenize = Counter(
            "flamingo_detokenize_seconds", "Making text of tokens.", registry=registry
        )

    def _make_audio(self, registry: CollectorRegistry) -> None:
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
        self.encoder = _durations(
            "flamingo_encoder_seconds", "Encoding the windows of a request.", registry
        )
        self.real_time = Histogram(
            "flamingo_real_time_factor",
            "A request's share of the engine's steps per second of its audio.",
            buckets=RATIOS,
            registry=registry,
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
    def request(self, route: str, exemplar: Exemplar = None) -> Iterator["RequestOutcome"]:
        """Count one request and time it, however it ends. `route` is one of a few."""
        outcome, started_s = RequestOutcome(), time.monotonic()
        try:
            yield outcome
        except FlamingoError as error:
            outcome.status = error.status
            outcome.error = error.code
            raise
        except web.HTTPException as refusal:
            is_too_large = isinstance(refusal, web.HTTPRequestEntityTooLarge)
            outcome.status = refusal.status
            outcome.error = (RequestTooLarge if is_too_large else BadRequest).code
            raise
        except ConnectionResetError:
            raise  # the client left
        except Exception:
            outcome.status, outcome.error = InternalError.status, InternalError.code
            raise
        finally:
            self.requests.labels(route, str(outcome.status)).inc(exemplar=_own(exemplar))
            duration_s = time.monotonic() - started_s
            self.duration.labels(route).observe(duration_s, exemplar=_own(exemplar))
            if outcome.error is not None:
                self.errors.labels(outcome.error).inc()

    def observe_completed(self, stats: RequestStats, exemplar: Exemplar = None) -> None:
        """Count a request that was answered in full."""
        self.compute.observe(stats.compute_s, exemplar=_own(exemplar))
        spans = [
            (self.queue, stats.queue_s),
            (self.prefill, stats.prefill_s),
            (self.writing, stats.decode_s),
            (self.encoder, stats.encode_s or None),
        ]
        for histogram, seconds in spans:
            if seconds is not None:
                histogram.observe(seconds, exemplar=_own(exemplar))
        if stats.audio_s:
            self.real_time.observe(stats.compute_s / stats.audio_s, exemplar=_own(exemplar))


@dataclass(slots=True)
class RequestOutcome:
    """How a request ended; 499 until it has: the client went away first."""

    status: int = 499
    error: str | None = None
    """The code of what went wrong."""


def _own(exemplar: Exemplar) -> dict[str, str] | None:
    return dict(exemplar) if exemplar else None


def _durations(
    name: str, documentation: str, registry: CollectorRegistry, labels: list[str] | None = None
) -> Histogram:
    return Histogram(name, documentation, labels or [], buckets=DURATIONS_S, registry=registry)
