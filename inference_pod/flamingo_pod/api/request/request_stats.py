"""Collect each request's stats, and report them when it ends: metrics, spans, access log.

They go to the metrics, the load report (for the router), the trace and the access log.
"""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from flamingo_common import numerals
from flamingo_common.service import http, traces
from flamingo_common.wire.priority import priority_of
from flamingo_common.wire.report import CLIP_HEADER
from flamingo_common.wire.responses import METRICS_HEADER
from flamingo_pod.api.request import query
from flamingo_pod.audio.memory_budget import RESERVATION
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.pod import Pod

REQUEST_STATS = web.RequestKey("stats", RequestStats)
Handler = Callable[[Pod, web.Request], Awaitable[web.StreamResponse]]
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
OPERATIONS = {"/v1/audio/embeddings": "embeddings", "/v1/embeddings": "embeddings"}
"""OpenTelemetry's GenAI operation names by route; all others are `chat`."""


def with_request_stats(pod: Pod, handle: Handler) -> http.Handler:
    """Return `handle` as a request handler that collects the request's stats and reports them."""

    async def handler(request: web.Request) -> web.StreamResponse:
        stats = request[REQUEST_STATS] = RequestStats(
            route=request.path,
            clip_name=_clip_name(request),
            wants_metrics=numerals.boolean(request.headers.get(METRICS_HEADER, "")) is True,
        )
        span, log_fields = traces.current_span(), request[http.LOG_FIELDS]
        try:
            with (
                pod.metrics.request(stats.route, span.exemplar) as outcome,
                pod.memory_budget.reservation() as request[RESERVATION],
            ):
                query.check(request.query)
                stats.priority = priority_of(request.headers)
                response = await handle(pod, request)
                outcome.status = response.status
                outcome.error = str(log_fields["error"]) if "error" in log_fields else None
        finally:
            _describe_span(span, stats, pod.model_name)
            log_fields |= _log_fields(stats)
        if outcome.error is None:
            pod.timings.add(stats)
            pod.metrics.observe_completed(stats, span.exemplar)
        return response

    return handler


def _clip_name(request: web.Request) -> str:
    """Return the router's name for the request's clip; empty if missing or not valid."""
    name = request.headers.get(CLIP_HEADER, "")
    return name if _NAME.fullmatch(name) else ""


def _log_fields(stats: RequestStats) -> dict[str, object]:
    """Return the access log's fields about the engine's work."""
    first_s = stats.time_to_first_token_s
    return {
        "output_tokens": stats.num_output_tokens,
        "compute_s": round(stats.compute_s, 4),
        **({"audio_missing_s": round(stats.audio_missing_s, 3)} if stats.audio_missing_s else {}),
        **({} if first_s is None else {"first_token_s": round(first_s, 4)}),
    }


def _describe_span(span: traces.Span, stats: RequestStats, model: str) -> None:
    """Set the span's attributes by OpenTelemetry's GenAI conventions; never any content."""
    if not span.is_recording:
        return
    operation = OPERATIONS.get(stats.route, "chat")
    attributes: dict[str, traces.Attribute] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "flamingo",
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.request.choice.count": stats.num_choices,
        "gen_ai.usage.input_tokens": stats.num_prompt_tokens,
        "gen_ai.usage.output_tokens": stats.num_output_tokens,
        "gen_ai.usage.cache_read.input_tokens": stats.num_cached_tokens,
        "flamingo.audio_seconds": stats.audio_s,
        "flamingo.windows_computed": stats.num_windows_computed,
        "flamingo.compute_seconds": stats.compute_s,
    }
    if (first_s := stats.time_to_first_token_s) is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = first_s
    if stats.finish_reasons:
        attributes["gen_ai.response.finish_reasons"] = list(stats.finish_reasons)
    span.describe(f"{operation} {model}", attributes)
    decode_started_s = stats.audio_decode_started_s
    span.add_child(
        "decode_audio",
        decode_started_s,
        decode_started_s and decode_started_s + stats.audio_decode_s,
    )
    span.add_child("queue", stats.submitted_s, stats.started_s)
    if stats.started_s is not None and stats.num_windows_encoded:
        span.add_child("encode", stats.started_s, stats.encoded_s)
    span.add_child("prefill", stats.started_s, stats.first_token_s)
    span.add_child("decode", stats.first_token_s, stats.last_token_s)
