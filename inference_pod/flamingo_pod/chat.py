"""One chat: parse → read the audio → prompt → speak."""

import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from aiohttp import web

from flamingo.errors import BadRequest
from flamingo.service import http
from flamingo.wire import parse, requests, responses, unsupported
from flamingo.wire.requests import AudioInput, ChatRequest
from flamingo_pod import answer, body, clip, stream
from flamingo_pod.answer import Answer
from flamingo_pod.body import Body
from flamingo_pod.pod import Pod, Served
from flamingo_pod.prompt import Turn


async def handle(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Answer `POST /v1/chat/completions`."""
    with pod.serving() as served:
        came = await body.read(request, max_bytes=pod.settings.max_body_bytes)
        unsupported.refuse(came.fields)
        asked = parse.request(ChatRequest, _with_prompt(came))
        served.check_model(asked.model)
        turns, audio = conversation(asked.messages, came.file)
        heard = await clip.read(pod, served, audio) if audio is not None else None
        question = answer.ask(served, turns, heard, asked)
        request[http.FACTS] |= answer.facts(question)
        reply = Answer(question)
        if asked.stream:
            return await stream.respond(request, _events(pod, served, reply, asked))
        async with contextlib.aclosing(answer.speak(pod, served, reply)) as pieces:
            text = "".join([piece async for piece in pieces])
        return http.json_response(_completion(served, reply, text))


def _with_prompt(came: Body) -> dict[str, Any]:
    """Let a form ask without JSON: `-F file=@song.mp3 -F prompt="What key is it in?"`."""
    if came.file is None or "messages" in came.fields or "prompt" not in came.fields:
        return came.fields
    return came.fields | {"messages": [{"role": "user", "content": came.fields["prompt"]}]}


def conversation(
    messages: Sequence[requests.Message], file: bytes | None
) -> tuple[list[Turn], AudioInput | bytes | None]:
    """Return the turns, and the one audio they speak of.

    A form's file belongs to the first turn of the user, so that every later
    question shares the prompt up to its own words.

    Raises:
        BadRequest: more than one audio part; the model hears one clip a conversation.
    """
    parts = [_parts(message) for message in messages]
    audios = [audio for _, found in parts for audio in found]
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


def _parts(message: requests.Message) -> tuple[str, list[AudioInput | bytes]]:
    """Return a turn's words, joined as the chat template joins them, and its audio parts."""
    if isinstance(message.content, str):
        return message.content, []
    texts = [part.text for part in message.content if isinstance(part, requests.TextPart)]
    audios = [_audio(part) for part in message.content if not isinstance(part, requests.TextPart)]
    if audios and message.role != "user":
        raise BadRequest(f"audio in a turn of the {message.role}; only the user's have it")
    return "".join(texts), list(audios)


def _audio(
    part: requests.InputAudioPart | requests.AudioUrlPart | requests.AudioPart,
) -> AudioInput:
    match part:
        case requests.InputAudioPart():
            return part.input_audio
        case requests.AudioPart():
            return part.audio
        case requests.AudioUrlPart():
            return AudioInput.model_construct(url=part.audio_url.url)


def _completion(served: Served, reply: Answer, text: str) -> responses.ChatCompletion:
    choice = responses.Choice(
        message=responses.AssistantMessage(content=text), finish_reason=reply.finish_reason
    )
    return responses.ChatCompletion(**_common(served), choices=[choice], usage=reply.usage)


def _common(served: Served) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": served.card.id,
    }


async def _events(
    pod: Pod, served: Served, reply: Answer, asked: ChatRequest
) -> AsyncGenerator[responses.Answer, None]:
    common = _common(served)

    def chunk(delta: responses.Delta, reason: responses.FinishReason | None = None) -> Any:
        choice = responses.ChunkChoice(delta=delta, finish_reason=reason)
        return responses.ChatChunk(**common, choices=[choice])

    yield chunk(responses.Delta(role="assistant", content=""))
    async with contextlib.aclosing(answer.speak(pod, served, reply)) as pieces:
        async for piece in pieces:
            yield chunk(responses.Delta(content=piece))
    yield chunk(responses.Delta(), reply.finish_reason)
    if asked.stream_options and asked.stream_options.include_usage:
        yield responses.ChatChunk(**common, choices=[], usage=reply.usage)
