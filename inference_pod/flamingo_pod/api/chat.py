"""Handler of chat completions."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from aiohttp import web

from flamingo_common.errors import BadRequest
from flamingo_common.service import http
from flamingo_common.wire import openai_unsupported, parse, requests, responses
from flamingo_common.wire.requests import AudioInput, ChatRequest
from flamingo_pod import caller
from flamingo_pod.api import body, clip_intake, generation, request_stats, stream
from flamingo_pod.api.body import ReceivedBody
from flamingo_pod.api.clip_intake import PreparedClip
from flamingo_pod.api.generation import ChoiceDelta, Generation
from flamingo_pod.audio.memory_file import MemoryFile
from flamingo_pod.engine.sequence import TokenOutput
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text import detokenize
from flamingo_pod.text.prompt import Turn

MIN_LOGPROB = -9999.0
"""OpenAI's value for a log-probability of minus infinity, which JSON cannot represent."""


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
        return http.json_response(_completion(served, result, received))


async def _parse_request(
    pod: Pod, served: ServedModel, request: web.Request
) -> tuple[ChatRequest, list[Turn], PreparedClip | None]:
    """Return the options, the conversation and its clip.

    Without the messages themselves: base64 is not kept in memory during generation.
    """
    received = await body.read(request, max_bytes=pod.settings.max_body_bytes)
    openai_unsupported.reject_unsupported(received.fields, own=openai_unsupported.CHAT_ONLY)
    options = parse.validate_request(
        ChatRequest, _fields_with_messages(received), is_form=received.is_form
    )
    served.check_model(options.model)
    turns, audio = conversation(options.messages, received.file)
    clip = None
    if audio is not None:
        clip = await clip_intake.read_clip(pod, served, request, audio, truncate=options.truncate)
    return options.model_copy(update={"messages": []}), turns, clip


def _fields_with_messages(received: ReceivedBody) -> dict[str, Any]:
    """Return the fields; a form's `prompt` becomes a message: `-F file=@a.mp3 -F prompt="Key?"`."""
    if received.file is None or "messages" in received.fields or "prompt" not in received.fields:
        return received.fields
    return received.fields | {"messages": [{"role": "user", "content": received.fields["prompt"]}]}


def conversation(
    messages: Sequence[requests.Message], file: MemoryFile | None
) -> tuple[list[Turn], AudioInput | MemoryFile | None]:
    """Return the turns, and the conversation's clip, if it has one.

    A form's file belongs to the user's first turn, so that every later turn shares the prompt up
    to its own text.

    Raises:
        BadRequest: more than one audio part, since the model supports one clip per conversation.
    """
    parts = [_parts(message) for message in messages]
    audios: list[AudioInput | MemoryFile] = [audio for _, found in parts for audio in found]
    if file is not None:
        audios.append(file)
    if len(audios) > 1:
        raise BadRequest(
            f"the conversation has {len(audios)} audio parts; the maximum is 1", param="messages"
        )
    audio_turn = _audio_turn(
        messages, [bool(found) for _, found in parts], has_file=file is not None
    )
    turns = [
        Turn(_role(message), text, has_audio=number == audio_turn)
        for number, (message, (text, _)) in enumerate(zip(messages, parts, strict=True))
    ]
    return turns, audios[0] if audios else None


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
    return "system" if message.role == "developer" else message.role


def _parts(message: requests.Message) -> tuple[str, list[AudioInput]]:
    """Return a message's text, joined as the chat template joins it, and its audio parts."""
    texts: list[str] = []
    audios: list[AudioInput] = []
    for part in requests.parts_of(message):
        if isinstance(part, requests.TextPart):
            texts.append(part.text)
        else:
            audios.append(requests.audio_input_of(part))
    if audios and message.role != "user":
        raise BadRequest(
            f"a message with the role {message.role} has audio; only user messages may have audio",
            param="messages",
        )
    return "".join(texts), audios


def _completion(
    served: ServedModel, result: Generation, deltas: Sequence[ChoiceDelta]
) -> responses.ChatCompletion:
    choices = [
        _choice(served, result, number, [delta for delta in deltas if delta.index == number])
        for number in range(len(result.choices))
    ]
    return responses.ChatCompletion(
        **served.response_fields("chatcmpl"),
        choices=choices,
        usage=result.usage,
        metrics=generation.request_metrics(result),
    )


def _choice(
    served: ServedModel, result: Generation, number: int, deltas: Sequence[ChoiceDelta]
) -> responses.Choice:
    text = "".join(delta.text for delta in deltas)
    return responses.Choice(
        index=number,
        message=responses.AssistantMessage(content=text),
        finish_reason=result.choices[number].finish_reason,
        logprobs=_logprobs(
            served, result, [output for delta in deltas for output in delta.outputs]
        ),
    )


def _logprobs(
    served: ServedModel, result: Generation, outputs: Sequence[TokenOutput]
) -> responses.Logprobs | None:
    if result.request.params.num_logprobs is None:
        return None
    tokenizer = served.checkpoint.processor.tokenizer
    return responses.Logprobs(
        content=[
            responses.TokenLogprob(
                **_token_logprob(tokenizer, output.token_id, output.logprob),
                top_logprobs=[
                    responses.TopLogprob(**_token_logprob(tokenizer, *pair))
                    for pair in output.top_logprobs
                ],
            )
            for output in outputs
            if output.token_id is not None and output.logprob is not None
        ]
    )


def _token_logprob(tokenizer: Any, token_id: int, logprob: float) -> dict[str, Any]:
    """Return a token's text, log-probability and bytes, which may be a part of a character."""
    token = detokenize.token_bytes(tokenizer, token_id)
    return {
        "token": (token or b"").decode(errors="replace"),
        "logprob": max(logprob, MIN_LOGPROB),
        "bytes": None if token is None else list(token),
    }


async def _events(
    pod: Pod, served: ServedModel, result: Generation, options: ChatRequest
) -> AsyncGenerator[responses.ResponseBody, None]:
    common = served.response_fields("chatcmpl")

    def chunk(index: int, delta: responses.Delta, **more: Any) -> responses.ChatCompletionChunk:
        choice = responses.ChunkChoice(index=index, delta=delta, **more)
        return responses.ChatCompletionChunk(**common, choices=[choice])

    is_started = False
    async with contextlib.aclosing(generation.generate(pod, served, result)) as deltas:
        async for delta in deltas:
            if not is_started:  # not sooner: before the first text, an error is a plain response
                for choice in result.choices:
                    yield chunk(choice.index, responses.Delta(role="assistant", content=""))
                is_started = True
            if delta.text or delta.outputs:
                logprobs = _logprobs(served, result, delta.outputs)
                yield chunk(delta.index, responses.Delta(content=delta.text), logprobs=logprobs)
            if delta.finish_reason is not None:
                yield chunk(delta.index, responses.Delta(), finish_reason=delta.finish_reason)
    if options.stream_options and options.stream_options.include_usage:
        yield responses.ChatCompletionChunk(
            **common, choices=[], usage=result.usage, metrics=generation.request_metrics(result)
        )
