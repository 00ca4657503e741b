"""Request body of `/v1/responses`, OpenAI's Responses API.

The server keeps nothing between requests: `input` has the whole conversation.

Pure.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from flamingo_common.wire import openai_responses_parameters as tables
from flamingo_common.wire.ignored_parameters import Metadata
from flamingo_common.wire.openai_responses_items import NOT_FUNCTIONS, Input
from flamingo_common.wire.parameters import Table
from flamingo_common.wire.request_body import WHOLE_NUMBER, RequestBody
from flamingo_common.wire.requests import MAX_TOP_LOGPROBS, ModelId, Text
from flamingo_common.wire.sampling_options import OutputTokens, SamplingOptions
from flamingo_common.wire.structured_outputs import StructuredOutputs
from flamingo_common.wire.tools import MAX_DESCRIPTION_CHARS, MAX_TOOLS, FunctionName

LOGPROBS = "message.output_text.logprobs"
Includable = Literal[
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "web_search_call.action.sources",
    "web_search_call.results",
]
MAX_TYPE_CHARS = 64


class TextFormat(RequestBody):
    """Format of the answer."""

    table: ClassVar[Table] = tables.TEXT_FORMAT

    type: Literal["text", "json_object", "json_schema"]
    """`text`: unconstrained. `json_object`: a JSON object. `json_schema`: JSON of `schema`."""
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    """Required with the type `json_schema`."""

    @model_validator(mode="after")
    def _schema_is_required_by_type(self) -> "TextFormat":
        if self.schema_ is None and self.type == "json_schema":
            raise ValueError("a schema is required if type is json_schema")
        return self


class TextConfig(RequestBody):
    """What the text of the answer is like."""

    table: ClassVar[Table] = tables.TEXT_CONFIG

    format: TextFormat | None = None


def _check_tool_type(value: object) -> object:
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind not in ("function", "allowed_tools"):
        name = kind if len(kind) <= MAX_TYPE_CHARS else f"{kind[:MAX_TYPE_CHARS]}…"
        raise ValueError(f"a tool of type {name} is not supported: {NOT_FUNCTIONS}")
    return value


class ResponsesTool(RequestBody):
    """A function that the model can call."""

    table: ClassVar[Table] = tables.FUNCTION_TOOL

    type: Literal["function"]
    name: FunctionName
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARS)] | None = None
    """What it does; part of the prompt."""
    parameters: dict[str, Any] | None = None
    """JSON schema of its arguments, always enforced. Unset: it has none."""


class ToolRef(RequestBody):
    """A function, by its name."""

    table: ClassVar[Table] = tables.TOOL_REF

    type: Literal["function"]
    name: FunctionName


class AllowedToolRefs(RequestBody):
    """Some of the tools, and whether one of them is called."""

    table: ClassVar[Table] = tables.ALLOWED_TOOLS

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[
        list[Annotated[ToolRef, BeforeValidator(_check_tool_type)]],
        Field(min_length=1, max_length=MAX_TOOLS),
    ]


def _choice_tag(choice: object) -> str:
    if not isinstance(choice, (dict, RequestBody)):
        return "word"
    kind = choice.get("type") if isinstance(choice, dict) else getattr(choice, "type", None)
    return "allowed" if kind == "allowed_tools" else "named"


ResponsesToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("word")]
    | Annotated[ToolRef, Tag("named")]
    | Annotated[AllowedToolRefs, Tag("allowed")],
    Discriminator(_choice_tag),
    BeforeValidator(_check_tool_type),
]


class ResponsesRequest(SamplingOptions):
    """Request body of `POST /v1/responses`."""

    table: ClassVar[Table] = tables.RESPONSES

    model: ModelId | None = None
    """Model id; default: the model that is served."""
    input: Input
    """The question as text, or the items of the conversation so far."""
    instructions: Text | None = None
    """A system message before the conversation."""
    max_output_tokens: OutputTokens | None = None
    """Maximum number of tokens to generate."""
    text: TextConfig | None = None
    """`format`: constrain the answer to JSON."""
    structured_outputs: StructuredOutputs | None = None
    """Constrain the answer, as in vLLM's API."""
    tools: (
        Annotated[
            list[Annotated[ResponsesTool, BeforeValidator(_check_tool_type)]],
            Field(max_length=MAX_TOOLS),
        ]
        | None
    ) = None
    """Functions that the model can be made to call."""
    tool_choice: ResponsesToolChoice | None = None
    """`required`: the answer is a call. An object: of this function. `none`: the answer is text.
    `auto`, the default: text or calls, which needs pods with `--enable-auto-tool-choice`."""
    parallel_tool_calls: bool | None = None
    """Whether an answer may have several calls, where the model decides on them; true unless set. A
    required call is one."""
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS), WHOLE_NUMBER] | None = None
    """Number of alternative tokens per position; returns log probabilities if it is not 0."""
    include: Annotated[list[Includable], Field(max_length=len(Includable.__args__))] | None = None
    """`message.output_text.logprobs`: return log probabilities. Others ask for nothing there is."""
    metadata: Metadata | None = None
    """Up to 16 names and values, which the response carries."""

    @property
    def wants_logprobs(self) -> bool:
        """Whether the response has the log probabilities of its tokens."""
        return bool(self.top_logprobs) or LOGPROBS in (self.include or ())
