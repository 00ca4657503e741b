"""Handler of captions, and the parts of it that analyses share."""

import contextlib
from collections.abc import AsyncGenerator
from typing import TypeVar

from aiohttp import web

from flamingo_common.service import http
from flamingo_common.wire import parse, responses
from flamingo_common.wire.requests import CaptionRequest
from flamingo_pod import caller
from flamingo_pod.api.generation import generation, output_format, stream
from flamingo_pod.api.generation.generation import Generation
from flamingo_pod.api.request import body, clip_intake, clip_sources, request_stats
from flamingo_pod.api.request.body import ReceivedBody
from flamingo_pod.api.request.clip_intake import PreparedClip
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text import caption_styles
from flamingo_pod.text.prompt import Turn

RequestT = TypeVar("RequestT", bound=CaptionRequest)


async def handle_caption(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/audio/captions`."""
    with pod.admit(caller.from_request(request)) as served:
        options, received = await parse_request(pod, served, request, CaptionRequest)
        clip = await read_clip(pod, served, request, received, options)
        result = await prepare(served, request, options, clip)
        if options.stream:
            events = _events(pod, served, result)
            return await stream.respond(
                request, events, heartbeat_interval_s=pod.settings.heartbeat_interval_s
            )
        text = await full_text(pod, served, result)
        return http.json_response(
            responses.Caption(
                **served.response_fields("cap"),
                caption=text,
                finish_reason=result.finish_reason,
                usage=result.usage,
                audio=clip_intake.reference_of(result.request.clip),
                metrics=generation.request_metrics(result),
            )
        )


async def parse_request(
    pod: Pod, served: ServedModel, request: web.Request, kind: type[RequestT]
) -> tuple[RequestT, ReceivedBody]:
    """Return the validated request, and its body, which has the audio."""
    received = await body.read(request, max_bytes=pod.settings.max_body_bytes)
    options = parse.validate_request(
        kind, body.fields_with_audio(received), is_form=received.is_form
    )
    served.check_model(options.model)
    output_format.requested_call(options)  # its errors need no audio
    return options, received


async def read_clip(
    pod: Pod,
    served: ServedModel,
    request: web.Request,
    received: ReceivedBody,
    options: CaptionRequest,
) -> PreparedClip:
    """Return the decoded clip. The base64 is not kept in memory during generation."""
    audio = received.file or options.audio
    with clip_sources.naming(clip_sources.ClipSource(audio, body.audio_place(received))):
        clip = await clip_intake.read_clip(pod, served, request, audio, options)
    received.fields.clear()
    options.audio.data = options.audio.url = None
    return clip


async def prepare(
    served: ServedModel, request: web.Request, options: CaptionRequest, clip: PreparedClip
) -> Generation:
    """Return the generation of a caption, not started."""
    turn = Turn("user", caption_styles.caption_prompt(options), has_audio=True, field="prompt")
    result = await generation.prepare(
        served, [turn], clip, options, request[request_stats.REQUEST_STATS]
    )
    request[http.LOG_FIELDS] |= generation.log_fields(result.request)
    return result


async def full_text(pod: Pod, served: ServedModel, result: Generation) -> str:
    """Return the whole text of a generation."""
    async with contextlib.aclosing(generation.generate(pod, served, result)) as deltas:
        return "".join([delta.text async for delta in deltas])


async def _events(
    pod: Pod, served: ServedModel, result: Generation
) -> AsyncGenerator[responses.ResponseBody, None]:
    common = served.response_fields("cap")
    async with contextlib.aclosing(generation.generate(pod, served, result)) as deltas:
        async for delta in deltas:
            if delta.text:
                yield responses.CaptionChunk(**common, delta=delta.text)
    yield responses.CaptionChunk(
        **common,
        delta="",
        finish_reason=result.finish_reason,
        usage=result.usage,
        audio=clip_intake.reference_of(result.request.clip),
        metrics=generation.request_metrics(result),
    )
