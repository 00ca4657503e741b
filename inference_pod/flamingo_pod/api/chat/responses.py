"""Handler of `/v1/responses`, OpenAI's Responses API: a chat under other names, without state."""

import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from aiohttp import web

from flamingo_common.errors import FlamingoError, UnsupportedMediaType
from flamingo_common.service import http
from flamingo_common.wire import parse, sse
from flamingo_common.wire.openai_responses import ResponsesRequest
from flamingo_common.wire.openai_responses_objects import ResponseEvent
from flamingo_pod import caller
from flamingo_pod.api.chat import chat_choices, responses_input, responses_output
from flamingo_pod.api.chat.responses_output import EventWriter
from flamingo_pod.api.generation import generation, stream
from flamingo_pod.api.generation.generation import Generation
from flamingo_pod.api.request import (
    body,
    clip_intake,
    clip_sources,
    conversation_clip,
    request_stats,
)
from flamingo_pod.api.request.clip_sources import ClipSource
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel

JSON_ONLY = (
    "/v1/responses takes JSON only; send the clip in input, or use /v1/chat/completions for a form"
)


async def handle_responses(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/responses`."""
    if request.content_type == "multipart/form-data":
        raise UnsupportedMediaType(JSON_ONLY)
    with pod.admit(caller.from_request(request)) as served:
        asked, result = await _prepare(pod, served, request)
        pod.check_choices(len(result.choices))
        request[http.LOG_FIELDS] |= generation.log_fields(result.request)
        params = result.request.params
        begun = responses_output.begun(
            asked,
            served.response_fields("resp"),
            temperature=params.temperature,
            top_p=params.top_p,
            audio=clip_intake.reference_of(result.request.clip),
        )
        writer = EventWriter(begun)
        events = _events(pod, served, result, writer)
        if asked.stream:
            return await stream.respond(
                request,
                events,
                heartbeat_interval_s=pod.settings.heartbeat_interval_s,
                framing=ResponsesFraming(writer),
            )
        async with contextlib.aclosing(events):
            async for _ in events:
                """The response is complete after the last event."""
        return http.json_response(writer.response)


async def _prepare(
    pod: Pod, served: ServedModel, request: web.Request
) -> tuple[ResponsesRequest, Generation]:
    """Return the request without its input, and its generation, not started."""
    received = await body.read(request, max_bytes=pod.settings.max_body_bytes)
    asked = parse.validate_request(ResponsesRequest, received.fields)
    served.check_model(asked.model)
    with responses_input.naming_fields():
        options = responses_input.chat_options(asked)
        generation.requested_call(served, options)  # its errors need no audio
        conversation = responses_input.conversation(asked)
        # From here on only `sources` has the base64: see `conversation_clip`.
        asked = asked.model_copy(update={"input": ""})
        received.fields.clear()
        sources = [ClipSource(clip.audio, clip.place) for clip in conversation.clips]
        clip_sources.check_part(options, sources)
        turns = conversation.turns
        del conversation
        clip = await conversation_clip.read_clip(pod, served, request, sources, options)
        stats = request[request_stats.REQUEST_STATS]
        return asked, await generation.prepare(served, turns, clip, options, stats)


async def _events(
    pod: Pod, served: ServedModel, result: Generation, writer: EventWriter
) -> AsyncGenerator[ResponseEvent, None]:
    chunks = chat_choices.writer(served, result, result.choices[0])
    is_started = False
    async with contextlib.aclosing(generation.generate(pod, served, result)) as deltas:
        async for delta in deltas:
            if not is_started:  # not sooner: before the first text, an error is a plain response
                is_started = True
                for event in writer.start():
                    yield event
                if (first := chunks.start()) is not None:
                    for event in writer.add(first):
                        yield event
            for chunk in chunks.add(delta):
                for event in writer.add(chunk):
                    yield event
    metrics = generation.request_metrics(result)
    yield writer.finish(result.usage, metrics, completed_at=int(time.time()))


@dataclass(frozen=True, slots=True)
class ResponsesFraming(stream.Framing):
    """Events have names, an error is the event of a response that failed, and no `[DONE]` ends."""

    writer: EventWriter

    def frame(self, event: stream.Event) -> bytes:
        """Return an event's lines."""
        assert isinstance(event, ResponseEvent)
        return sse.encode_event(event.model_dump_json(), name=event.type)

    def error(self, error: FlamingoError) -> bytes:
        """Return the lines of the event of an error, which is the last one."""
        return sse.encode_event(self.writer.failure(error), name="response.failed")

    def end(self) -> bytes:
        """Return nothing: the last event says that it is the last."""
        return b""
