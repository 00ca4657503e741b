"""One chat: parse → read the audio → prompt → speak."""

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
from flamingo_pod.api.body import Body
from flamingo_pod.api.clip_intake import PreparedClip
from flamingo_pod.api.generation import ChoiceDelta, Generation
from flamingo_pod.audio.memory_file import MemoryFile
from flamingo_pod.engine.sequence import TokenOutput
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text import detokenize
from flamingo_pod.text.prompt import Turn

IMPOSSIBLE = -9999.0
"""OpenAI's word for a log-probability of minus infinity, which JSON cannot say."""


async def handle(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Generation `POST /v1/chat/completions`."""
    with pod.admit(caller.from_request(request)) as served:
        asked, turns, heard = await _hear(pod, served, request)
        reply = await generation.prepare(
            served, turns, heard, asked, request[request_stats.REQUEST_STATS]
        )
        pod.check_room(len(reply.choices))
        request[http.LOG_FIELDS] |= generation.log_fields(reply.question)
        if asked.stream:
            events = _events(pod, served, reply, asked)
            return await stream.respond(
                request, events, heartbeat_interval_s=pod.settings.heartbeat_interval_s
            )
        async with contextlib.aclosing(generation.generate(pod, served, reply)) as pieces:
            said = [piece async for piece in pieces]
        return http.json_response(_completion(served, reply, said))


async def _hear(
    pod: Pod, served: ServedModel, request: web.Request
) -> tuple[ChatRequest, list[Turn], PreparedClip | None]:
    """Return what is asked, without its messages: base64 is not kept while the answer comes."""
    came = await body.read(request, max_bytes=pod.settings.max_body_bytes)
    openai_unsupported.reject_unsupported(came.fields, own=openai_unsupported.CHAT_ONLY)
    asked = parse.validate_request(ChatRequest, _with_prompt(came), is_form=came.is_form)
    served.check_model(asked.model)
    turns, audio = conversation(asked.messages, came.file)
    heard = None
    if audio is not None:
        heard = await clip_intake.read_clip(pod, served, request, audio, truncate=asked.truncate)
    return asked.model_copy(update={"messages": []}), turns, heard


def _with_prompt(came: Body) -> dict[str, Any]:
    """Let a form ask without JSON: `-F file=@song.mp3 -F prompt="What key is it in?"`."""
    if came.file is None or "messages" in came.fields or "prompt" not in came.fields:
        return came.fields
    return came.fields | {"messages": [{"role": "user", "content": came.fields["prompt"]}]}


def conversation(
    messages: Sequence[requests.Message], file: MemoryFile | None
) -> tuple[list[Turn], AudioInput | MemoryFile | None]:
    """Return the turns, and the one audio they speak of.

    A form's file belongs to the first turn of the user, so that every later
    question shares the prompt up to its own words.

    Raises:
        BadRequest: more than one audio part; the model hears one clip a conversation.
    """
    parts = [_parts(message) for message in messages]
    audios: list[AudioInput | MemoryFile] = [audio for _, found in parts for audio in found]
    if file is not None:
        audios.append(file)
    if len(audios) > 1:
        raise BadRequest(
            f"there are {len(audios)} audio parts; the model takes one", param="messages"
        )
    holder = _holder(messages, [bool(found) for _, found in parts], has_file=file is not None)
    turns = [
        Turn(_role(message), text, has_audio=number == holder)
        for number, (message, (text, _)) in enumerate(zip(messages, parts, strict=True))
    ]
    return turns, audios[0] if audios else None


def _holder(
    messages: Sequence[requests.Message], have_audio: Sequence[bool], *, has_file: bool
) -> int | None:
    """Return the number of the turn that has the audio."""
    if not has_file:
        return have_audio.index(True) if True in have_audio else None
    users = [number for number, message in enumerate(messages) if message.role == "user"]
    if not users:
        raise BadRequest("the file belongs to a user's turn, and there is none", param="messages")
    return users[0]


def _role(message: requests.Message) -> str:
    return "system" if message.role == "developer" else message.role


def _parts(message: requests.Message) -> tuple[str, list[AudioInput]]:
    """Return a turn's words, joined as the chat template joins them, and its audio parts."""
    texts: list[str] = []
    audios: list[AudioInput] = []
    for part in requests.parts_of(message):
        if isinstance(part, requests.TextPart):
            texts.append(part.text)
        else:
            audios.append(requests.audio_input_of(part))
    if audios and message.role != "user":
        raise BadRequest(
            f"audio in a turn of the {message.role}; only the user's have it", param="messages"
        )
    return "".join(texts), audios


def _completion(
    served: ServedModel, reply: Generation, said: Sequence[ChoiceDelta]
) -> responses.ChatCompletion:
    choices = [
        _choice(served, reply, number, [piece for piece in said if piece.index == number])
        for number in range(len(reply.choices))
    ]
    return responses.ChatCompletion(
        **served.heading("chatcmpl"),
        choices=choices,
        usage=reply.usage,
        metrics=generation.request_metrics(reply),
    )


def _choice(
    served: ServedModel, reply: Generation, number: int, said: Sequence[ChoiceDelta]
) -> responses.Choice:
    text = "".join(piece.text for piece in said)
    return responses.Choice(
        index=number,
        message=responses.AssistantMessage(content=text),
        finish_reason=reply.choices[number].finish_reason,
        logprobs=_logprobs(served, reply, [step for piece in said for step in piece.steps]),
    )


def _logprobs(
    served: ServedModel, reply: Generation, steps: Sequence[TokenOutput]
) -> responses.Logprobs | None:
    if reply.question.params.num_logprobs is None:
        return None
    tokenizer = served.checkpoint.processor.tokenizer
    return responses.Logprobs(
        content=[
            responses.TokenLogprob(
                **_likelihood(tokenizer, step.token_id, step.logprob),
                top_logprobs=[
                    responses.TopLogprob(**_likelihood(tokenizer, *pair))
                    for pair in step.top_logprobs
                ],
            )
            for step in steps
            if step.token_id is not None and step.logprob is not None
        ]
    )


def _likelihood(tokenizer: Any, token_id: int, logprob: float) -> dict[str, Any]:
    """Return a token's own text, which may be a part of a character, and how likely it was."""
    said = detokenize.token_bytes(tokenizer, token_id)
    return {
        "token": (said or b"").decode(errors="replace"),
        "logprob": max(logprob, IMPOSSIBLE),
        "bytes": None if said is None else list(said),
    }


async def _events(
    pod: Pod, served: ServedModel, reply: Generation, asked: ChatRequest
) -> AsyncGenerator[responses.ResponseBody, None]:
    common = served.heading("chatcmpl")

    def chunk(index: int, delta: responses.Delta, **more: Any) -> responses.ChatCompletionChunk:
        choice = responses.ChunkChoice(index=index, delta=delta, **more)
        return responses.ChatCompletionChunk(**common, choices=[choice])

    is_begun = False
    async with contextlib.aclosing(generation.generate(pod, served, reply)) as pieces:
        async for piece in pieces:
            if not is_begun:  # not sooner: until there is a word, a fault is a plain answer
                for choice in reply.choices:
                    yield chunk(choice.index, responses.Delta(role="assistant", content=""))
                is_begun = True
            if piece.text or piece.steps:
                logprobs = _logprobs(served, reply, piece.steps)
                yield chunk(piece.index, responses.Delta(content=piece.text), logprobs=logprobs)
            if piece.finish_reason is not None:
                yield chunk(piece.index, responses.Delta(), finish_reason=piece.finish_reason)
    if asked.stream_options and asked.stream_options.include_usage:
        yield responses.ChatCompletionChunk(
            **common, choices=[], usage=reply.usage, metrics=generation.request_metrics(reply)
        )
