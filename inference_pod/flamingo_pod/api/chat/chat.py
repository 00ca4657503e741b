"""Handler of chat completions."""

import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web

from flamingo_common.errors import BadRequest
from flamingo_common.service import http
from flamingo_common.wire import parse, requests, responses
from flamingo_common.wire.requests import AudioInput, ChatRequest
from flamingo_pod import caller
from flamingo_pod.api.chat import chat_choices
from flamingo_pod.api.generation import generation, stream, tool_calls
from flamingo_pod.api.generation.generation import Generation
from flamingo_pod.api.request import (
    body,
    clip_intake,
    clip_sources,
    conversation_clip,
    request_stats,
)
from flamingo_pod.api.request.body import ReceivedBody
from flamingo_pod.api.request.clip_intake import PreparedClip
from flamingo_pod.api.request.clip_sources import ClipSource
from flamingo_pod.audio.memory_file import MemoryFile
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text.prompt import Turn

ROLES: Mapping[str, str] = {"developer": "system", "function": "tool"}
"""What other roles are in the prompt."""


async def handle_chat(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/chat/completions`."""
    with pod.admit(caller.from_request(request)) as served:
        options, turns, clip = await _parse_request(pod, served, request)
        result = await generation.prepare(
            served, turns, clip, options, request[request_stats.REQUEST_STATS]
        )
        pod.check_choices(len(result.choices))
        request[http.LOG_FIELDS] |= generation.log_fields(result.request)
        if options.stream:
            events = _events(pod, served, result, options)
            return await stream.respond(
                request, events, heartbeat_interval_s=pod.settings.heartbeat_interval_s
            )
        async with contextlib.aclosing(generation.generate(pod, served, result)) as deltas:
            received = [delta async for delta in deltas]
        return http.json_response(chat_choices.completion(served, result, received))


async def _parse_request(
    pod: Pod, served: ServedModel, request: web.Request
) -> tuple[ChatRequest, list[Turn], PreparedClip | None]:
    """Return the options, the conversation and its clip.

    Without the messages themselves: base64 is not kept in memory during generation.
    """
    received = await body.read(request, max_bytes=pod.settings.max_body_bytes)
    options = parse.validate_request(
        ChatRequest, _fields_with_messages(received), is_form=received.is_form
    )
    served.check_model(options.model)
    generation.requested_call(served, options)  # its errors need no audio
    turns, sources = conversation(options.messages, body.attached_audio(received))
    clip_sources.check_part(options, sources)
    if "prompt" in received.fields:
        turns = [replace(turn, field="prompt") for turn in turns]
    # From here on only `sources` has the base64: see `conversation_clip`.
    options = options.model_copy(update={"messages": []})
    received.fields.clear()
    clip = await conversation_clip.read_clip(pod, served, request, sources, options)
    return options, turns, clip


def _fields_with_messages(received: ReceivedBody) -> dict[str, Any]:
    """Return the fields; a form's `prompt` becomes a message: `-F file=@a.mp3 -F prompt="Key?"`.

    Raises:
        BadRequest: the form has both, or neither.
    """
    if not received.is_form:
        return received.fields
    body.check_attached_once(received)
    if ("messages" in received.fields) == ("prompt" in received.fields):
        raise BadRequest(
            "a form needs either prompt, the question about the file, or messages (JSON, in the"
            " part request)",
            param="prompt",
        )
    rest = {name: value for name, value in received.fields.items() if name != body.AUDIO_ID}
    if "prompt" in rest:
        rest["messages"] = [{"role": "user", "content": rest.pop("prompt")}]
    return rest


def conversation(
    messages: Sequence[requests.Message], file: MemoryFile | AudioInput | None
) -> tuple[list[Turn], list[ClipSource]]:
    """Return the turns, and every clip, of which the first is used.

    A form's file, or the clip whose id it has, belongs to the user's first turn, so that every
    later turn shares the prompt up to its own text.

    Raises:
        BadRequest: a message that must not have audio has some.
    """
    parts = [_parts(message, f"messages[{at}]") for at, message in enumerate(messages)]
    sources = [source for _, found in parts for source in found]
    if file is not None:
        sources.insert(0, ClipSource(file, body.place_of(file)))
    audio_turn = _audio_turn(
        messages, [bool(found) for _, found in parts], has_file=file is not None
    )
    turns = [
        Turn(
            _role(message),
            text,
            has_audio=number == audio_turn,
            field=f"messages[{number}].content",
            snippets=tuple(tool_calls.earlier_calls(message, f"messages[{number}]")),
        )
        for number, (message, (text, _)) in enumerate(zip(messages, parts, strict=True))
    ]
    return turns, sources


def _audio_turn(
    messages: Sequence[requests.Message], have_audio: Sequence[bool], *, has_file: bool
) -> int | None:
    """Return the index of the turn that has the audio."""
    if not has_file:
        return have_audio.index(True) if True in have_audio else None
    users = [number for number, message in enumerate(messages) if message.role == "user"]
    if not users:
        raise BadRequest("a file needs a message with the role user; add one", param="messages")
    return users[0]


def _role(message: requests.Message) -> str:
    return ROLES.get(message.role, message.role)


def _parts(message: requests.Message, place: str) -> tuple[str, list[ClipSource]]:
    """Return a message's text, joined as the chat template joins it, and its audio parts."""
    texts: list[str] = []
    sources: list[ClipSource] = []
    for number, part in enumerate(requests.parts_of(message)):
        if isinstance(part, requests.TextPart):
            texts.append(part.text)
        else:
            audio = requests.audio_input_of(part)
            sources.append(ClipSource(audio, f"{place}.content[{number}]"))
    if sources and message.role != "user":
        raise BadRequest(
            f"a message with the role {message.role} has audio; only user messages may have audio",
            param=sources[0].place,
        )
    return "".join(texts), sources


async def _events(
    pod: Pod, served: ServedModel, result: Generation, options: ChatRequest
) -> AsyncGenerator[responses.ResponseBody, None]:
    common = served.response_fields("chatcmpl")
    writers = [chat_choices.writer(served, result, choice) for choice in result.choices]
    is_started = False
    async with contextlib.aclosing(generation.generate(pod, served, result)) as deltas:
        async for delta in deltas:
            started = [] if is_started else [writer.start() for writer in writers]
            is_started = True  # not sooner: before the first text, an error is a plain response
            for choice in (*filter(None, started), *writers[delta.index].add(delta)):
                yield responses.ChatCompletionChunk(**common, choices=[choice])
    if options.stream_options and options.stream_options.include_usage:
        yield responses.ChatCompletionChunk(
            **common,
            choices=[],
            usage=result.usage,
            audio=clip_intake.reference_of(result.request.clip),
            metrics=generation.request_metrics(result),
        )
