"""One caption, or one analysis: the same with an embedding of the same encoding."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TypeVar

from aiohttp import web

from flamingo_common.service import http
from flamingo_common.wire import openai_unsupported, parse, responses
from flamingo_common.wire.requests import AnalyzeRequest, CaptionRequest
from flamingo_pod import caller
from flamingo_pod.api import body, clip_intake, embedding_format, generation, request_stats, stream
from flamingo_pod.api.generation import Generation
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text import caption_styles
from flamingo_pod.text.prompt import Turn

T = TypeVar("T", bound=CaptionRequest)


async def caption(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Generation `POST /v1/audio/captions`."""
    with pod.admit(caller.from_request(request)) as served:
        asked, reply = await _hear(pod, served, request, CaptionRequest)
        if asked.stream:
            events = _events(pod, served, reply, None)
            return await stream.respond(
                request, events, heartbeat_interval_s=pod.settings.heartbeat_interval_s
            )
        text = await _whole(pod, served, reply)
        return http.json_response(
            responses.Caption(
                **served.heading("cap"),
                caption=text,
                finish_reason=reply.finish_reason,
                usage=reply.usage,
                metrics=generation.request_metrics(reply),
            )
        )


async def analyze(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Generation `POST /v1/audio/analyze`."""
    with pod.admit(caller.from_request(request)) as served:
        asked, reply = await _hear(pod, served, request, AnalyzeRequest)
        if asked.stream:
            events = _events(pod, served, reply, asked)
            return await stream.respond(
                request, events, heartbeat_interval_s=pod.settings.heartbeat_interval_s
            )
        text = await _whole(pod, served, reply)
        rows = await _rows(served, reply, asked)
        analysis = responses.Analysis(
            **served.heading("ana"),
            caption=text,
            finish_reason=reply.finish_reason,
            embedding=embedding_format.outline(rows, asked),
            usage=reply.usage,
            metrics=generation.request_metrics(reply),
        )
        written = await asyncio.to_thread(embedding_format.encode, analysis, rows)
        return web.Response(body=written, content_type="application/json", charset="utf-8")


async def _hear(
    pod: Pod, served: ServedModel, request: web.Request, kind: type[T]
) -> tuple[T, Generation]:
    """Return the request, and its answer not yet begun."""
    came = await body.read(request, max_bytes=pod.settings.max_body_bytes)
    openai_unsupported.reject_unsupported(came.fields, own={"audio"})
    asked = parse.validate_request(kind, body.with_audio(came), is_form=came.is_form)
    served.check_model(asked.model)
    audio = came.file or asked.audio
    heard = await clip_intake.read_clip(pod, served, request, audio, truncate=asked.truncate)
    turn = Turn("user", caption_styles.caption_prompt(asked), has_audio=True)
    reply = await generation.prepare(
        served, [turn], heard, asked, request[request_stats.REQUEST_STATS]
    )
    request[http.LOG_FIELDS] |= generation.log_fields(reply.question)
    # Without its audio: base64 is not kept while the answer comes.
    return asked.model_copy(update={"audio": None}), reply


async def _whole(pod: Pod, served: ServedModel, reply: Generation) -> str:
    async with contextlib.aclosing(generation.generate(pod, served, reply)) as pieces:
        return "".join([piece.text async for piece in pieces])


async def _rows(
    served: ServedModel, reply: Generation, asked: AnalyzeRequest
) -> embedding_format.Rows:
    assert reply.question.clip is not None  # a caption is of a clip
    # The clip keeps its windows' states: nothing is encoded twice.
    return await embedding_format.rows(served, reply.question.clip.audio, asked)


async def _events(
    pod: Pod, served: ServedModel, reply: Generation, asked: AnalyzeRequest | None
) -> AsyncGenerator[responses.ResponseBody | str, None]:
    common = served.heading("ana" if asked else "cap")
    async with contextlib.aclosing(generation.generate(pod, served, reply)) as pieces:
        async for piece in pieces:
            if piece.text:
                yield responses.CaptionChunk(**common, delta=piece.text)
    last = responses.CaptionChunk(
        **common,
        delta="",
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        metrics=generation.request_metrics(reply),
    )
    if asked is None:
        yield last
        return
    rows = await _rows(served, reply, asked)
    whole = last.model_copy(update={"embedding": embedding_format.outline(rows, asked)})
    yield (await asyncio.to_thread(embedding_format.encode, whole, rows)).decode()
