"""Handler of `/v1/decisions`: questions about a clip or a text, answered with probabilities."""

from collections.abc import Sequence

from aiohttp import web

from flamingo_common.errors import BadRequest
from flamingo_common.service import http
from flamingo_common.wire import clip_ids, data_url, parse, requests
from flamingo_common.wire import decisions as wire
from flamingo_common.wire.decisions import DecisionRequest, InputMessage
from flamingo_pod import caller
from flamingo_pod.api.chat import chat
from flamingo_pod.api.decisions import decide
from flamingo_pod.api.request import body, clip_sources, conversation_clip, request_stats
from flamingo_pod.api.request.clip_sources import ClipSource
from flamingo_pod.audio.memory_file import MemoryFile
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text.prompt import Turn
from flamingo_pod.text.question_text import json_text

INPUT = "input"


async def handle_decisions(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/decisions`."""
    with pod.admit(caller.from_request(request)) as served:
        options, conversation = await _parse_request(pod, served, request)
        questions = {f"questions[{at}]": each for at, each in enumerate(options.questions)}
        decided = await decide.decide(pod, served, conversation, questions, options)
        clip = conversation.clip
        request[http.LOG_FIELDS] |= {
            "audio_s": round(clip.seconds, 3) if clip else 0.0,
            "prompt_tokens": decided.usage.input_tokens,
            "questions": len(questions),
        }
        return http.json_response(
            wire.Decision(answers=decided.answers, model=served.card.id, usage=decided.usage)
        )


async def _parse_request(
    pod: Pod, served: ServedModel, request: web.Request
) -> tuple[DecisionRequest, decide.DecisionInput]:
    """Return the options without the input, and the input."""
    received = await body.read(request, max_bytes=pod.settings.max_body_bytes)
    options = parse.validate_request(
        DecisionRequest, body.fields_with_input(received), is_form=received.is_form
    )
    served.check_model(options.model)
    turns, sources = _conversation(options, body.attached_audio(received))
    clip_sources.check_part(options, sources)
    # From here on only `sources` has the base64: see `conversation_clip`.
    options = options.model_copy(update={INPUT: ""})
    received.fields.clear()
    clip = await conversation_clip.read_clip(pod, served, request, sources, options)
    return options, decide.DecisionInput(turns, clip, request[request_stats.REQUEST_STATS])


def _conversation(
    options: DecisionRequest, file: MemoryFile | requests.AudioInput | None
) -> tuple[list[Turn], list[ClipSource]]:
    """Return the turns, the last of which is a user's, and the clips in them.

    Raises:
        BadRequest: there is neither text nor audio, or a message has audio that must not.
    """
    given = options.input
    if file is not None:
        return [Turn("user", "", has_audio=True)], [ClipSource(file, body.place_of(file))]
    if isinstance(given, str) and (clip := _clip_in(given)) is not None:
        return [Turn("user", "", has_audio=True)], [ClipSource(clip, INPUT)]
    turns, sources = (
        ([Turn("user", given, field=INPUT)], []) if isinstance(given, str) else _messages(given)
    )
    if not sources and not any(turn.text.strip() for turn in turns):
        raise BadRequest(
            "there is neither text nor audio that the questions could be about", param=INPUT
        )
    if turns[-1].role != "user":
        turns.append(Turn("user", "", field=INPUT))
    return turns, sources


def _clip_in(text: str) -> requests.AudioInput | None:
    """Return the clip that an input is, as a `data:` URL or as an id; None for text."""
    if data_url.is_data_url(text):
        return requests.AudioInput.model_construct(url=text)
    return requests.AudioInput(id=text) if clip_ids.is_clip_id(text) else None


def _messages(messages: Sequence[InputMessage]) -> tuple[list[Turn], list[ClipSource]]:
    turns: list[Turn] = []
    sources: list[ClipSource] = []
    for number, message in enumerate(messages):
        place = f"{INPUT}[{number}].content"
        text, found = _parts(message, place)
        has_audio = bool(found) and not sources
        turns.append(Turn(chat.ROLES.get(message.role, message.role), text, has_audio, place))
        sources += found
    return turns, sources


def _parts(message: InputMessage, place: str) -> tuple[str, list[ClipSource]]:
    """Return a message's text, joined as the chat template joins it, and its audio parts.

    Raises:
        BadRequest: it has audio, and is not a user's.
    """
    if isinstance(message.content, str):
        return message.content, []
    texts: list[str] = []
    sources: list[ClipSource] = []
    for number, part in enumerate(message.content):
        if isinstance(part, wire.InputJson):
            texts.append(json_text(part))
        elif isinstance(part, wire.InputText | requests.TextPart):
            texts.append(part.text)
        elif message.role == "user":
            sources.append(ClipSource(requests.audio_input_of(part), f"{place}[{number}]"))
        else:
            raise BadRequest(
                f"a message with the role {message.role} has audio; only user messages may",
                param=f"{place}[{number}]",
            )
    return "".join(texts), sources
