"""Request bodies, with the limits of every field.

Beside these fields an object can have those that `flamingo_common.wire.parameters` and
`flamingo_common.wire.message_parameters` list as ignored, or with a harmless value. Any
other field is an error, as with OpenAI's servers.

Pure.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from flamingo_common.wire import message_parameters, parameters
from flamingo_common.wire.clip_options import ClipOptions
from flamingo_common.wire.ignored_parameters import IgnoredParameters
from flamingo_common.wire.parameters import Table
from flamingo_common.wire.request_body import WHOLE_NUMBER, RequestBody, Url, exactly_one_of
from flamingo_common.wire.sampling_options import OutputTokens, SamplingOptions
from flamingo_common.wire.structured_outputs import GuidedOptions
from flamingo_common.wire.tools import (
    CalledFunction,
    FunctionChoice,
    Functions,
    ToolCalls,
    ToolChoice,
    Tools,
)

MAX_MESSAGES = 256
MAX_TEXT_CHARS = 100_000
MAX_PARTS = 64
MAX_TOP_LOGPROBS = 20
MAX_CHOICES = 8
FORM_NAME = r"^[a-zA-Z0-9_.-]{1,64}(\[\])?$"
"""Pattern of a form field's name; OpenAI's clients end the name of a list with `[]`."""


MAX_ID_CHARS = 128
ClipId = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
ModelId = Annotated[str, Field(max_length=256)]
"""An empty one is that of the server, as in vLLM."""
Style = Literal["detailed", "brief", "technical"]
Layer = Literal["encoder", "projector"]
Pooling = Literal["none", "mean"]
EncodingFormat = Literal["float", "base64", "npy"]


class AudioInput(RequestBody):
    """One clip: `data` (base64 or a `data:` URL), `url` (an `http(s)` URL), or `id`."""

    table: ClassVar[Table] = message_parameters.AUDIO

    model_config = ConfigDict(json_schema_extra=exactly_one_of("data", "url", "id"))

    data: str | None = None
    """Base64 in the standard or URL-safe alphabet, or a `data:` URL."""
    url: Url | None = None
    """`http(s)` URL that the server fetches the audio from, or a `data:` URL."""
    id: ClipId | None = None
    """Id of a clip that was sent before, from an earlier response."""
    format: Annotated[str, Field(max_length=64)] | None = None
    """Ignored: the format is detected from the data."""

    @model_validator(mode="after")
    def _has_one_source(self) -> "AudioInput":
        if sum(each is not None for each in (self.data, self.url, self.id)) != 1:
            raise ValueError("exactly one of data (base64), url and id is required")
        return self


class AudioUrl(RequestBody):
    """An `http(s)` or `data:` URL, as in vLLM's API."""

    table: ClassVar[Table] = message_parameters.AUDIO_URL

    url: Url
    """A `data:` URL can be as long as the audio in base64."""


class TextPart(RequestBody):
    """Text of a message."""

    table: ClassVar[Table] = message_parameters.TEXT_PART

    type: Literal["text"]
    text: Text


def _required_without_uuid(value: Any, info: ValidationInfo) -> Any:
    if value is None and info.data.get("uuid") is None:
        raise ValueError("is required")
    return value


REQUIRED_WITHOUT_UUID = AfterValidator(_required_without_uuid)
"""As in vLLM, a part without media has the `uuid` of a clip that was sent before."""


class InputAudioPart(RequestBody):
    """An audio clip, in OpenAI's format."""

    table: ClassVar[Table] = message_parameters.INPUT_AUDIO_PART

    type: Literal["input_audio"]
    uuid: ClipId | None = None
    """Without `input_audio`: the id of a clip that was sent before. Otherwise it has no effect."""
    input_audio: Annotated[
        AudioInput | None, Field(validate_default=True), REQUIRED_WITHOUT_UUID
    ] = None


class AudioUrlPart(RequestBody):
    """An audio clip, in vLLM's format."""

    table: ClassVar[Table] = message_parameters.AUDIO_URL_PART

    type: Literal["audio_url"]
    uuid: ClipId | None = None
    """Without `audio_url`: the id of a clip that was sent before. Otherwise it has no effect."""
    audio_url: Annotated[AudioUrl | None, Field(validate_default=True), REQUIRED_WITHOUT_UUID] = (
        None
    )


class AudioPart(RequestBody):
    """An audio clip, in the format of the first Flamingo server."""

    table: ClassVar[Table] = message_parameters.AUDIO_PART

    type: Literal["audio"]
    audio: AudioInput


class FileInput(RequestBody):
    """A clip that was sent before, by its id."""

    table: ClassVar[Table] = message_parameters.FILE

    file_id: ClipId
    """Id of a clip that was sent before, from an earlier response."""


class FilePart(RequestBody):
    """A clip that was sent before, in the format of OpenAI's files."""

    table: ClassVar[Table] = message_parameters.FILE_PART

    type: Literal["file"]
    file: FileInput


AnyAudioPart = InputAudioPart | AudioUrlPart | AudioPart | FilePart
Part = Annotated[TextPart | AnyAudioPart, Field(discriminator="type")]


def _content_tag(content: object) -> str:
    """Return the union branch of `content`, so that an error is reported once, not per branch."""
    return "parts" if isinstance(content, list) else "text"


Content = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[list[Part], Field(min_length=1, max_length=MAX_PARTS), Tag("parts")],
    Discriminator(_content_tag),
]


Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class Message(RequestBody):
    """One message of a conversation."""

    table: ClassVar[Table] = message_parameters.MESSAGE

    role: Role
    """`tool`, or `function` with older clients: the result of a call."""
    tool_calls: ToolCalls | None = None
    """Calls in an earlier answer."""
    function_call: CalledFunction | None = None
    """A call in an earlier answer to a request with `functions`."""
    content: Annotated[Content | None, Field(validate_default=True)] = None
    """Required, except in an earlier answer that is a call."""

    @field_validator("tool_calls", "function_call")
    @classmethod
    def _only_from_assistant(cls, value: Any, info: ValidationInfo) -> Any:
        if value and info.data.get("role") not in (None, "assistant"):
            raise ValueError("only a message with the role assistant has calls")
        return value

    @field_validator("content")
    @classmethod
    def _required_without_call(cls, value: Content | None, info: ValidationInfo) -> Content | None:
        data = info.data  # without the fields that have errors of their own
        if value is not None or not {"role", "tool_calls", "function_call"} <= data.keys():
            return value
        if data["role"] != "assistant":
            raise ValueError("is required")
        if not (data["tool_calls"] or data["function_call"]):
            raise ValueError("is required in an assistant's message without tool_calls")
        return value


def parts_of(message: Message) -> list[Part]:
    """Return the parts of a message; a plain string is one text part."""
    content = message.content
    return [TextPart(type="text", text=content)] if isinstance(content, str) else content or []


def audio_input_of(part: AnyAudioPart) -> AudioInput:
    """Return the clip of an audio part of any format."""
    match part:
        case InputAudioPart():
            return part.input_audio or AudioInput(id=part.uuid)
        case AudioPart():
            return part.audio
        case AudioUrlPart() if part.audio_url is not None:
            return AudioInput.model_construct(url=part.audio_url.url)
        case AudioUrlPart():
            return AudioInput(id=part.uuid)
        case FilePart():
            return AudioInput(id=part.file.file_id)


class JsonSchema(RequestBody):
    """A JSON schema, as OpenAI wraps it. It is always enforced strictly."""

    table: ClassVar[Table] = message_parameters.JSON_SCHEMA

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    """Required by OpenAI's API; has no effect."""
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    """The JSON schema that the generated text conforms to."""
    strict: bool | None = None
    """Has no effect: the schema is always enforced."""


class ResponseFormat(RequestBody):
    """Format of the generated text."""

    table: ClassVar[Table] = message_parameters.RESPONSE_FORMAT

    type: Literal["text", "json_object", "json_schema"]
    """`text`: unconstrained. `json_object`: a JSON object. `json_schema`: JSON of that schema."""
    json_schema: Annotated[JsonSchema | None, Field(validate_default=True)] = None
    """Required with the type `json_schema`."""

    @field_validator("json_schema")
    @classmethod
    def _required_by_type(cls, value: JsonSchema | None, info: ValidationInfo) -> JsonSchema | None:
        if value is None and info.data.get("type") == "json_schema":
            raise ValueError("is required if type is json_schema")
        return value


class GenerationOptions(SamplingOptions, IgnoredParameters, GuidedOptions):
    """Options of text generation. An option that is not set has the checkpoint's default."""

    table: ClassVar[Table] = parameters.GENERATION

    model: ModelId | None = None
    """Model id; default: the model that is served."""
    max_tokens: OutputTokens | None = None
    """Maximum number of tokens to generate."""
    response_format: ResponseFormat | None = None
    """Constrain the generated text to JSON."""


class StreamOptions(RequestBody):
    """Options of a streamed response, as in OpenAI's API."""

    table: ClassVar[Table] = message_parameters.STREAM_OPTIONS

    include_usage: bool | None = None
    """Send a final event with the `usage` and an empty list of choices."""
    include_obfuscation: bool | None = None
    """Accepted for compatibility; events are never padded."""


class ChatRequest(GenerationOptions):
    """Request body of `POST /v1/chat/completions`."""

    table: ClassVar[Table] = parameters.CHAT

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    """The conversation so far."""
    max_completion_tokens: OutputTokens | None = None
    """Maximum number of tokens to generate; takes precedence over `max_tokens`."""
    stream_options: StreamOptions | None = None
    """Options for `stream: true`."""
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES), WHOLE_NUMBER] | None = None
    """Number of choices to generate. With a seed they have the seeds seed, seed + 1, …"""
    logprobs: bool | None = None
    """Return the log probability of each generated token."""
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS), WHOLE_NUMBER] | None = None
    """Number of alternative tokens per position; requires `logprobs`."""
    tools: Tools | None = None
    """Functions that the model can be made to call."""
    tool_choice: ToolChoice | None = None
    """`required`: the answer is a call. An object: of this function. `none`: the answer is text.
    `auto`, the default: text or calls, which needs pods with `--enable-auto-tool-choice`."""
    parallel_tool_calls: bool | None = None
    """Whether an answer may have several calls, where the model decides on them; true unless set. A
    required call is one."""
    functions: Functions | None = None
    """The older name of `tools`."""
    function_call: FunctionChoice | None = None
    """The older name of `tool_choice`."""

    @field_validator("top_logprobs")
    @classmethod
    def _needs_logprobs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and not info.data.get("logprobs"):
            raise ValueError("requires logprobs: true")
        return value


class CaptionRequest(GenerationOptions):
    """Request body of `POST /v1/audio/captions`."""

    table: ClassVar[Table] = parameters.CAPTION

    audio: AudioInput
    style: Style = "detailed"
    """Level of detail of the caption."""
    prompt: Text | None = None
    """Prompt to use instead of the style's."""


class EmbeddingOptions(ClipOptions):
    """Options of embeddings."""

    layer: Layer = "encoder"
    """`encoder`: output of the audio encoder. `projector`: input of the language model."""
    pooling: Pooling = "none"
    """`none`: one row per frame (25 per second). `mean`: one row per clip."""
    encoding_format: EncodingFormat = "float"
    """`float`: lists of numbers. `base64`: little-endian float32. `npy`: a NumPy file."""


class EmbeddingRequest(EmbeddingOptions):
    """Request body of `POST /v1/audio/embeddings`."""

    table: ClassVar[Table] = parameters.EMBEDDINGS

    model: ModelId | None = None
    """Model id; default: the model that is served."""
    audio: AudioInput
