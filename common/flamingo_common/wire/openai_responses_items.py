"""The items of `input` of `/v1/responses`: messages, calls, and the results of calls.

Pure.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from flamingo_common.wire import openai_responses_parameters as tables
from flamingo_common.wire.parameters import Table
from flamingo_common.wire.request_body import RequestBody, Url, exactly_one_of
from flamingo_common.wire.requests import (
    MAX_MESSAGES,
    MAX_PARTS,
    AudioInput,
    ClipId,
    InputAudioPart,
    Text,
    audio_input_of,
)
from flamingo_common.wire.tools import MAX_ARGUMENTS_CHARS, FunctionName

PART_HINTS: Mapping[str, str] = {
    "input_image": "the model has no images",
    "refusal": "send the text of an earlier answer as output_text",
}
ITEM_HINTS: Mapping[str, str] = {
    "item_reference": "nothing is stored, so send the item itself; in Vercel's AI SDK set"
    " providerOptions.openai.store to false",
}
NOT_FUNCTIONS = "the server calls no tools; offer functions, which your program runs"


class InputTextPart(RequestBody):
    """Text of a message."""

    table: ClassVar[Table] = tables.INPUT_TEXT

    type: Literal["input_text"]
    text: Text


class OutputTextPart(RequestBody):
    """Text of an earlier answer."""

    table: ClassVar[Table] = tables.OUTPUT_TEXT

    type: Literal["output_text"]
    text: Text


class InputFilePart(RequestBody):
    """A clip as a file: `file_data` (a `data:` URL, or base64), `file_url`, or `file_id`."""

    table: ClassVar[Table] = tables.INPUT_FILE

    model_config = ConfigDict(json_schema_extra=exactly_one_of("file_data", "file_url", "file_id"))

    type: Literal["input_file"]
    file_data: str | None = None
    """A `data:` URL of any media type, or base64; the format is detected from the data."""
    file_url: Url | None = None
    """`http(s)` URL that the server fetches the audio from."""
    file_id: ClipId | None = None
    """Id of a clip that was sent before, from the header of an earlier response."""

    @model_validator(mode="after")
    def _has_one_source(self) -> "InputFilePart":
        given = (self.file_data, self.file_url, self.file_id)
        if sum(each is not None for each in given) != 1:
            raise ValueError("exactly one of file_data, file_url and file_id is required")
        return self


def clip_of(part: InputAudioPart | InputFilePart) -> AudioInput:
    """Return the clip of a part that has one."""
    if isinstance(part, InputAudioPart):
        return audio_input_of(part)
    return AudioInput.model_construct(data=part.file_data, url=part.file_url, id=part.file_id)


def hinted(hints: Mapping[str, str], what: str) -> BeforeValidator:
    """Return a validator that refuses types by name, each with what to use instead."""

    def check(value: object) -> object:
        kind = value.get("type") if isinstance(value, dict) else None
        if isinstance(kind, str) and (hint := hints.get(kind)):
            raise ValueError(f"{what} of type {kind} is not supported: {hint}")
        return value

    return BeforeValidator(check)


ContentPart = Annotated[
    InputTextPart | OutputTextPart | InputAudioPart | InputFilePart, Field(discriminator="type")
]


def _content_tag(content: object) -> str:
    return "parts" if isinstance(content, list) else "text"


ItemContent = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[
        list[Annotated[ContentPart, hinted(PART_HINTS, "a part")]],
        Field(max_length=MAX_PARTS),
        Tag("parts"),
    ],
    Discriminator(_content_tag),
]
ResultContent = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[list[InputTextPart], Field(max_length=MAX_PARTS), Tag("parts")],
    Discriminator(_content_tag),
]


class MessageItem(RequestBody):
    """One message of the conversation; its type may be left out."""

    table: ClassVar[Table] = tables.MESSAGE_ITEM

    type: Literal["message"] | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: ItemContent


class CallItem(RequestBody):
    """A call of a function in an earlier answer."""

    table: ClassVar[Table] = tables.CALL_ITEM

    type: Literal["function_call"]
    name: FunctionName
    arguments: Annotated[str, Field(max_length=MAX_ARGUMENTS_CHARS)]
    """JSON text, which may be incomplete."""


class ResultItem(RequestBody):
    """The result of a call."""

    table: ClassVar[Table] = tables.RESULT_ITEM

    type: Literal["function_call_output"]
    output: ResultContent


class ReasoningItem(RequestBody):
    """The reasoning of an earlier answer, which is not part of the prompt."""

    table: ClassVar[Table] = tables.REASONING_ITEM

    type: Literal["reasoning"]


ITEM_TAGS: Mapping[str, str] = {
    "message": "message item",
    "function_call": "call item",
    "function_call_output": "result item",
    "reasoning": "reasoning item",
}
"""By type; unlike any field's name, as `flamingo_common.wire.parse` leaves them out of paths."""


def _item_tag(item: object) -> str | None:
    if isinstance(item, RequestBody):
        item = {"type": getattr(item, "type", None)}
    if not isinstance(item, dict):
        return ITEM_TAGS["message"]  # whose error says that it must be an object
    kind: Any = item.get("type") or "message"
    return ITEM_TAGS.get(kind) if isinstance(kind, str) else None


Item = Annotated[
    Annotated[MessageItem, Tag(ITEM_TAGS["message"])]
    | Annotated[CallItem, Tag(ITEM_TAGS["function_call"])]
    | Annotated[ResultItem, Tag(ITEM_TAGS["function_call_output"])]
    | Annotated[ReasoningItem, Tag(ITEM_TAGS["reasoning"])],
    Discriminator(
        _item_tag,
        custom_error_type="item_type",
        custom_error_message=f"the type must be one of {', '.join(map(repr, ITEM_TAGS))}",
    ),
    hinted(ITEM_HINTS, "an item"),
]


def _input_tag(given: object) -> str:
    return "items" if isinstance(given, list) else "text"


def _check_has_message(items: list[Any]) -> list[Any]:
    if items and not any(isinstance(item, MessageItem) for item in items):
        raise ValueError("has no message; beside calls and results it needs one")
    return items


Input = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[
        list[Item],
        Field(min_length=1, max_length=MAX_MESSAGES),
        AfterValidator(_check_has_message),
        Tag("items"),
    ],
    Discriminator(_input_tag),
]
