"""Handlers of captions and of analyses; an analysis is a caption and an embedding of the clip."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TypeVar

from aiohttp import web

from flamingo_common.service import http
from flamingo_common.wire import parse, responses
from flamingo_common.wire.requests import AnalyzeRequest, CaptionRequest
from flamingo_pod import caller
from flamingo_pod.api import (
    body,
    clip_intake,
    clip_sources,
    embedding_format,
    generation,
    output_format,
    request_stats,
    stream,
)
from flamingo_pod.api.generation import Generation
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text import caption_styles
from flamingo_pod.text.prompt import Turn

RequestT = TypeVar("RequestT", bound=CaptionRequest)


async def handle_caption(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/audio/captions`."""
    with pod.admit(caller.from_request(request)) as served:
        options, result = await _prepare(pod, served, request, CaptionRequest)
        if options.stream:
            events = _events(pod, served, result, None)
            return await stream.respond(
                request, events, heartbeat_interval_s=pod.settings.heartbeat_interval_s
            )
        text = await _full_text(pod, served, result)
        return http.json_response(
            responses.Caption(
                **served.response_fields("cap"),
                caption=text,
                finish_reason=result.finish_reason,
                usage=result.usage,
                metrics=generation.request_metrics(result),
            )
        )


async def handle_analysis(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/audio/analyze`."""
    with pod.admit(caller.from_request(request)) as served:
        options, result = await _prepare(pod, served, request, AnalyzeRequest)
        if options.stream:
            events = _events(pod, served, result, options)
            return await stream.respond(
                request, events, heartbeat_interval_s=pod.settings.heartbeat_interval_s
            )
        text = await _full_text(pod, served, result)
        rows = await _rows(served, result, options)
        analysis = responses.Analysis(
            **served.response_fields("ana"),
            caption=text,
            finish_reason=result.finish_reason,
            embedding=embedding_format.embedding_data(rows, options),
            usage=result.usage,
            metrics=generation.request_metrics(result),
        )
        encoded = await asyncio.to_thread(embedding_format.encode, analysis, rows)
        return web.Response(body=encoded, content_type="application/json", charset="utf-8")


async def _prepare(
    pod: Pod, served: ServedModel, request: web.Request, kind: type[RequestT]
) -> tuple[RequestT, Generation]:
    """Return the validated request, and its generation, not started."""
    received = await body.read(request, max_bytes=pod.settings.max_body_bytes)
    options = parse.validate_request(
        kind, body.fields_with_audio(received), is_form=received.is_form
    )
    served.check_model(options.model)
    output_format.forced_call(options)  # its errors need no audio
    audio = received.file or options.audio
    with clip_sources.naming(clip_sources.ClipSource(audio, body.audio_place(received))):
        clip = await clip_intake.read_clip(pod, served, request, audio, options)
    turn = Turn("user", caption_styles.caption_prompt(options), has_audio=True, field="prompt")
    result = await generation.prepare(
        served, [turn], clip, options, request[request_stats.REQUEST_STATS]
    )
    request[http.LOG_FIELDS] |= generation.log_fields(result.request)
    # Without its audio: the base64 is not kept in memory during generation.
    return options.model_copy(update={"audio": None}), result


async def _full_text(pod: Pod, served: ServedModel, result: Generation) -> str:
    async with contextlib.aclosing(generation.generate(pod, served, result)) as deltas:
        return "".join([delta.text async for delta in deltas])


async def _rows(
    served: ServedModel, result: Generation, options: AnalyzeRequest
) -> embedding_format.Rows:
    assert result.request.clip is not None  # every caption request has one
    # The clip keeps the states of its windows: nothing is encoded twice.
    return await embedding_format.compute_rows(served, result.request.clip.audio, options)


async def _events(
    pod: Pod, served: ServedModel, result: Generation, options: AnalyzeRequest | None
) -> AsyncGenerator[responses.ResponseBody | str, None]:
    common = served.response_fields("ana" if options else "cap")
    async with contextlib.aclosing(generation.generate(pod, served, result)) as deltas:
        async for delta in deltas:
            if delta.text:
                yield responses.CaptionChunk(**common, delta=delta.text)
    last = responses.CaptionChunk(
        **common,
        delta="",
        finish_reason=result.finish_reason,
        usage=result.usage,
        metrics=generation.request_metrics(result),
    )
    if options is None:
        yield last
        return
    rows = await _rows(served, result, options)
    complete = last.model_copy(update={"embedding": embedding_format.embedding_data(rows, options)})
    yield (await asyncio.to_thread(embedding_format.encode, complete, rows)).decode()
