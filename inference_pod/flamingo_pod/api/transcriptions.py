"""Handler of `/v1/audio/transcriptions`: the lyrics of a clip, in OpenAI's formats."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from aiohttp import web

from flamingo_common.service import http
from flamingo_common.wire import parse
from flamingo_common.wire.responses import ResponseBody
from flamingo_common.wire.transcriptions import TranscriptionEvent, TranscriptionRequest
from flamingo_pod import caller
from flamingo_pod.api import transcription_format
from flamingo_pod.api.generation import generation, output_format, stream
from flamingo_pod.api.generation.generation import Generation
from flamingo_pod.api.request import body, clip_intake, clip_sources, request_stats
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text.prompt import Turn


async def handle_transcription(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/audio/transcriptions`."""
    with pod.admit(caller.from_request(request)) as served:
        asked, result = await _prepare(pod, served, request)
        if asked.stream:
            events = _events(pod, served, result)
            return await stream.respond(
                request, events, heartbeat_interval_s=pod.settings.heartbeat_interval_s
            )
        async with contextlib.aclosing(generation.generate(pod, served, result)) as deltas:
            text = "".join([delta.text async for delta in deltas])
        # In a thread: an answer of tens of thousands of tokens is read for its times.
        return await asyncio.to_thread(_response, asked, text, result)


async def _prepare(
    pod: Pod, served: ServedModel, request: web.Request
) -> tuple[TranscriptionRequest, Generation]:
    """Return the request without its clip, and its generation, not started."""
    received = await body.read(request, max_bytes=pod.settings.max_body_bytes)
    asked = parse.validate_request(
        TranscriptionRequest, body.fields_with_audio(received), is_form=received.is_form
    )
    served.check_model(asked.model)
    options = transcription_format.caption_options(asked)
    output_format.requested_call(options)  # its errors need no audio
    audio = received.file or asked.audio
    with clip_sources.naming(clip_sources.ClipSource(audio, body.audio_place(received))):
        clip = await clip_intake.read_clip(pod, served, request, audio, options)
    turn = Turn("user", transcription_format.prompt(asked), has_audio=True, field="prompt")
    result = await generation.prepare(
        served, [turn], clip, options, request[request_stats.REQUEST_STATS]
    )
    request[http.LOG_FIELDS] |= generation.log_fields(result.request)
    return asked.model_copy(update={"audio": None}), result


def _response(asked: TranscriptionRequest, text: str, result: Generation) -> web.Response:
    answer = transcription_format.Answer(
        text,
        result.finish_reason,
        result.usage,
        result.request.params.temperature,
        generation.request_metrics(result),
        clip_intake.reference_of(result.request.clip),
    )
    kind = transcription_format.MEDIA_TYPES.get(asked.response_format)
    if kind is not None:
        written = transcription_format.as_text(asked, answer)
        return web.Response(text=written, content_type=kind)
    if asked.response_format == "json":
        return http.json_response(transcription_format.plain(answer))
    return http.json_response(transcription_format.verbose(asked, answer))


async def _events(
    pod: Pod, served: ServedModel, result: Generation
) -> AsyncGenerator[ResponseBody, None]:
    pieces: list[str] = []
    async with contextlib.aclosing(generation.generate(pod, served, result)) as deltas:
        async for delta in deltas:
            if delta.text:
                pieces.append(delta.text)
                yield TranscriptionEvent(type="transcript.text.delta", delta=delta.text)
    yield TranscriptionEvent(
        type="transcript.text.done",
        text="".join(pieces),
        finish_reason=result.finish_reason,
        usage=transcription_format.usage_of(result.usage),
        audio=clip_intake.reference_of(result.request.clip),
        metrics=generation.request_metrics(result),
    )
