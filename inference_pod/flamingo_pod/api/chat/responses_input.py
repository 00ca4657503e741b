"""A request of `/v1/responses` in the terms of chat: its conversation, its options, its errors.

Pure.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from flamingo_common.errors import BadRequest, FlamingoError
from flamingo_common.wire import tools
from flamingo_common.wire.openai_responses import (
    AllowedToolRefs,
    ResponsesRequest,
    ResponsesToolChoice,
    ToolRef,
)
from flamingo_common.wire.openai_responses_items import (
    CallItem,
    InputFilePart,
    MessageItem,
    ResultItem,
    clip_of,
)
from flamingo_common.wire.requests import (
    AudioInput,
    ChatRequest,
    InputAudioPart,
    JsonSchema,
    ResponseFormat,
)
from flamingo_common.wire.sampling_options import SamplingOptions
from flamingo_pod.text import tool_text
from flamingo_pod.text.prompt import Snippet, Turn

SYSTEM_ROLES = frozenset({"system", "developer"})
FIELDS = (
    (re.compile(r"\bmax_(?:completion_)?tokens\b"), "max_output_tokens"),
    (re.compile(r"\bresponse_format\b"), "text.format"),
    (re.compile(r"\btools\[(\d+)\]\.function\b"), r"tools[\1]"),
    (re.compile(r"\btool_choice\.(?:allowed_tools\.)?"), "tool_choice."),
    (re.compile(r"(\btool_choice\.(?:tools\[\d+\]\.)?)function\."), r"\1"),
)
"""What chat calls a field, and what this API calls it."""
CONVERSATION = ("messages", "input")


@dataclass(frozen=True, slots=True)
class PlacedClip:
    """A clip, and its place in the request, such as `input[0].content[1]`."""

    audio: AudioInput
    place: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the prompt is made of, and every clip, of which the first is used."""

    turns: Sequence[Turn]
    clips: Sequence[PlacedClip]


def conversation(request: ResponsesRequest) -> Conversation:
    """Return the conversation.

    Calls belong to the assistant's message before them, as in chat, where one message has both.

    Raises:
        BadRequest: a message that must not have audio has some.
    """
    turns: list[Turn] = []
    clips: list[PlacedClip] = []
    if request.instructions:
        turns.append(Turn("system", request.instructions, field="instructions"))
    if isinstance(request.input, str):
        return Conversation([*turns, Turn("user", request.input, field="input")], [])
    for number, item in enumerate(request.input):
        place = f"input[{number}]"
        match item:
            case MessageItem():
                text, found = _content(item, place)
                is_first = bool(found) and not clips
                clips += found
                turns.append(Turn(_role(item), text, is_first, f"{place}.content"))
            case CallItem():
                turns = _with_call(turns, item, place)
            case ResultItem():
                turns.append(Turn("tool", _result_text(item), field=f"{place}.output"))
    return Conversation(turns, clips)


def _role(message: MessageItem) -> str:
    return "system" if message.role in SYSTEM_ROLES else message.role


def _content(message: MessageItem, place: str) -> tuple[str, list[PlacedClip]]:
    """Return a message's text, joined as the chat template joins it, and its clips."""
    if isinstance(message.content, str):
        return message.content, []
    texts: list[str] = []
    clips: list[PlacedClip] = []
    for number, part in enumerate(message.content):
        if isinstance(part, InputAudioPart | InputFilePart):
            clips.append(PlacedClip(clip_of(part), f"{place}.content[{number}]"))
        else:
            texts.append(part.text)
    if clips and message.role != "user":
        raise BadRequest(
            f"a message with the role {message.role} has audio; only those with the role user may"
            " have audio",
            param=clips[0].place,
        )
    return "".join(texts), clips


def _with_call(turns: Sequence[Turn], call: CallItem, place: str) -> list[Turn]:
    snippet = Snippet(tool_text.call_json(call.name, call.arguments), place)
    if turns and turns[-1].role == "assistant":
        last = replace(turns[-1], snippets=(*turns[-1].snippets, snippet))
        return [*turns[:-1], last]
    return [*turns, Turn("assistant", "", field=place, snippets=(snippet,))]


def _result_text(result: ResultItem) -> str:
    if isinstance(result.output, str):
        return result.output
    return "".join(part.text for part in result.output)


def chat_options(request: ResponsesRequest) -> ChatRequest:
    """Return the options of the chat that gives the same answer, without the conversation."""
    shared = {name: getattr(request, name) for name in SamplingOptions.model_fields}
    return ChatRequest.model_construct(
        **shared,
        model=request.model,
        messages=[],
        max_completion_tokens=request.max_output_tokens,
        response_format=_response_format(request),
        structured_outputs=request.structured_outputs,
        tools=_tools(request),
        tool_choice=_tool_choice(request.tool_choice),
        logprobs=request.wants_logprobs,
        top_logprobs=request.top_logprobs,
    )


def _response_format(request: ResponsesRequest) -> ResponseFormat | None:
    wanted = request.text.format if request.text else None
    if wanted is None:
        return None
    schema = None
    if wanted.schema_ is not None and wanted.type == "json_schema":
        schema = JsonSchema.model_validate({"name": "answer", "schema": wanted.schema_})
    return ResponseFormat(type=wanted.type, json_schema=schema)


def _tools(request: ResponsesRequest) -> list[tools.FunctionTool] | None:
    if request.tools is None:
        return None
    return [
        tools.FunctionTool(
            type="function",
            function=tools.FunctionDefinition(
                name=tool.name, description=tool.description, parameters=tool.parameters
            ),
        )
        for tool in request.tools
    ]


def _tool_choice(choice: ResponsesToolChoice | None) -> tools.ToolChoice | None:
    match choice:
        case ToolRef():
            return _named(choice)
        case AllowedToolRefs():
            allowed = tools.AllowedTools(
                mode=choice.mode, tools=[_named(tool) for tool in choice.tools]
            )
            return tools.AllowedToolsChoice(type="allowed_tools", allowed_tools=allowed)
        case _:
            return choice


def _named(tool: ToolRef) -> tools.NamedTool:
    return tools.NamedTool(type="function", function=tools.FunctionRef(name=tool.name))


@contextlib.contextmanager
def naming_fields() -> Iterator[None]:
    """Name the fields of this API in the errors of chat during the block."""
    try:
        yield
    except FlamingoError as error:
        error.message = renamed(error.message)
        if error.param is not None:
            was, now = CONVERSATION
            error.param = now if error.param == was else renamed(error.param)
        raise


def renamed(text: str) -> str:
    """Return an error's text, or its field, with the names of this API."""
    for pattern, name in FIELDS:
        text = pattern.sub(name, text)
    return text
