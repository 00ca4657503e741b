"""Each request's account: opened when it comes, and when it is over told to whoever counts.

Those are the metrics, the router (by the load report), the trace and the access line.
"""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from flamingo_common.service import http, traces
from flamingo_common.wire.report import CLIP_HEADER
from flamingo_common.wire.responses import METRICS_HEADER
from flamingo_pod.audio.memory_budget import RESERVATION
from flamingo_pod.engine.request_stats import Account
from flamingo_pod.pod import Pod

REQUEST_STATS = web.RequestKey("account", Account)
Handler = Callable[[Pod, web.Request], Awaitable[web.StreamResponse]]
YES = frozenset({"1", "true", "yes"})
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
OPERATIONS = {"/v1/audio/embeddings": "embeddings", "/v1/embeddings": "embeddings"}
"""What OpenTelemetry's GenAI conventions call a route; the others are `chat`."""


def with_request_stats(pod: Pod, handle: Handler) -> http.Handler:
    """Return `handle` as a handler that keeps an account of each request."""

    async def handler(request: web.Request) -> web.StreamResponse:
        account = request[REQUEST_STATS] = Account(
            route=request.path,
            clip=_clip(request),
            wants_metrics=request.headers.get(METRICS_HEADER) in YES,
        )
        span, facts = traces.current_span(), request[http.LOG_FIELDS]
        try:
            with (
                pod.metrics.request(account.route, span.exemplar) as outcome,
                pod.held.request() as request[RESERVATION],
            ):
                response = await handle(pod, request)
                outcome.status = response.status
                outcome.error = str(facts["error"]) if "error" in facts else None
        finally:
            _trace(span, account, pod.name)
            facts |= _told(account)
        if outcome.error is None:
            pod.timings.add(account)
            pod.metrics.observe_completed(account, span.exemplar)
        return response

    return handler


def _clip(request: web.Request) -> str:
    """Return the router's name for the request's clip; what is no name is none."""
    given = request.headers.get(CLIP_HEADER, "")
    return given if _NAME.fullmatch(given) else ""


def _told(account: Account) -> dict[str, object]:
    """Return what the access line says of the engine's part."""
    first_s = account.time_to_first_token_s
    return {
        "output_tokens": account.num_output,
        "compute_s": round(account.compute_s, 4),
        **({} if first_s is None else {"first_token_s": round(first_s, 4)}),
    }


def _trace(span: traces.Span, account: Account, model: str) -> None:
    """Describe a request by OpenTelemetry's GenAI conventions; what was said is never told."""
    if not span.is_recording:
        return
    operation = OPERATIONS.get(account.route, "chat")
    described: dict[str, traces.Attribute] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "flamingo",
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "gen_ai.request.choice.count": account.num_choices,
        "gen_ai.usage.input_tokens": account.num_prompt,
        "gen_ai.usage.output_tokens": account.num_output,
        "gen_ai.usage.cache_read.input_tokens": account.num_cached,
        "flamingo.audio_seconds": account.audio_s,
        "flamingo.windows_computed": account.num_windows,
        "flamingo.compute_seconds": account.compute_s,
    }
    if (first_s := account.time_to_first_token_s) is not None:
        described["gen_ai.response.time_to_first_chunk"] = first_s
    if account.finish_reasons:
        described["gen_ai.response.finish_reasons"] = list(account.finish_reasons)
    span.describe(f"{operation} {model}", described)
    came_s = account.decode_audio_from_s
    span.add_child("decode_audio", came_s, came_s and came_s + account.decode_audio_s)
    span.add_child("queue", account.submitted_s, account.started_s)
    if account.started_s is not None and account.num_encoded:
        span.add_child("encode", account.started_s, account.encoded_s)
    span.add_child("prefill", account.started_s, account.first_token_s)
    span.add_child("decode", account.first_token_s, account.last_token_s)
