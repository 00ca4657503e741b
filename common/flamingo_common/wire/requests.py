"""Request bodies, with the limits of every field.

Unknown top-level fields are ignored, as OpenAI's servers do: SDKs send `extra_body`
keys there. A field of OpenAI's API with an unsupported value is never ignored but
rejected by name (`flamingo_common.wire.openai_unsupported`).

Pure.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from flamingo_common.wire.openai_ignored import IgnoredParameters

MAX_MESSAGES = 256
MAX_TEXT_CHARS = 100_000
MAX_PARTS = 64
MAX_STOPS = 4
MAX_OUTPUT_TOKENS = 32_768
MAX_BIASES = 300
MAX_TOKEN_ID_DIGITS = 9
MAX_TOP_LOGPROBS = 20
MAX_CHOICES = 8
FORM_NAME = "^[a-zA-Z0-9_.-]{1,64}$"
"""Pattern of a form field's name."""
NULL: JsonDict = {"type": "null"}


def _to_int(value: object) -> object:
    """Return 8.0 as the integer 8: JSON has only one type of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE_NUMBER = BeforeValidator(_to_int)
"""Comes last in an annotation, so that the limits stay in the schema."""
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
StopSequence = Annotated[str, Field(min_length=1, max_length=256)]
StopList = Annotated[list[StopSequence], Field(max_length=MAX_STOPS)]
Style = Literal["detailed", "brief", "technical"]
Layer = Literal["encoder", "projector"]
Pooling = Literal["none", "mean"]
EncodingFormat = Literal["float", "base64", "npy"]


class RequestBody(BaseModel):
    """Base of all request bodies: wrong types are errors, unknown fields are ignored.

    Strict, as in the OpenAPI document: `"1"` is not a number. The fields of a form are
    text and are converted (`flamingo_common.wire.parse`).
    """

    model_config = ConfigDict(
        extra="ignore",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


def exactly_one_of(this: str, that: str) -> JsonDict:
    """Return the JSON schema keywords that require exactly one of two fields."""
    return {"oneOf": [_only(this, that), _only(that, this)]}


def _only(this: str, that: str) -> JsonDict:
    return {"required": [this], "properties": {this: {"not": NULL}, that: NULL}}


class AudioInput(RequestBody):
    """One clip: either `data` (base64 or a `data:` URL) or `url` (an `http(s)` URL)."""

    model_config = ConfigDict(json_schema_extra=exactly_one_of("data", "url"))

    data: str | None = None
    """Base64 in the standard or URL-safe alphabet, or a `data:` URL."""
    url: Annotated[str, Field(max_length=8192)] | None = None
    """`http(s)` URL that the server fetches the audio from."""
    format: Annotated[str, Field(max_length=64)] | None = None
    """Ignored: the format is detected from the data."""

    @model_validator(mode="after")
    def _has_data_or_url(self) -> "AudioInput":
        if (self.data is None) == (self.url is None):
            raise ValueError("exactly one of data (base64) and url is required")
        return self


class AudioUrl(RequestBody):
    """An `http(s)` or `data:` URL, as in vLLM's API."""

    url: str
    """A `data:` URL can be as long as the audio in base64."""


class TextPart(RequestBody):
    """Text of a message."""

    type: Literal["text"]
    text: Text


class InputAudioPart(RequestBody):
    """An audio clip, in OpenAI's format."""

    type: Literal["input_audio"]
    input_audio: AudioInput


class AudioUrlPart(RequestBody):
    """An audio clip, in vLLM's format."""

    type: Literal["audio_url"]
    audio_url: AudioUrl


class AudioPart(RequestBody):
    """An audio clip, in the format of the first Flamingo server."""

    type: Literal["audio"]
    audio: AudioInput


AnyAudioPart = InputAudioPart | AudioUrlPart | AudioPart
Part = Annotated[TextPart | AnyAudioPart, Field(discriminator="type")]


def _content_tag(content: object) -> str:
    """Return the union branch of `content`, so that an error is reported once, not per branch."""
    return "parts" if isinstance(content, list) else "text"


Content = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[list[Part], Field(min_length=1, max_length=MAX_PARTS), Tag("parts")],
    Discriminator(_content_tag),
]


class Message(RequestBody):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content


def parts_of(message: Message) -> list[Part]:
    """Return the parts of a message; a plain string is one text part."""
    content = message.content
    return [TextPart(type="text", text=content)] if isinstance(content, str) else content


def audio_input_of(part: AnyAudioPart) -> AudioInput:
    """Return the clip of an audio part of any format."""
    match part:
        case InputAudioPart():
            return part.input_audio
        case AudioPart():
            return part.audio
        case AudioUrlPart():
            return AudioInput.model_construct(url=part.audio_url.url)


class JsonSchema(RequestBody):
    """A JSON schema, as OpenAI wraps it. It is always enforced strictly."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    """Required by OpenAI's API; has no effect."""
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    """The JSON schema that the generated text conforms to."""
    strict: bool | None = None
    """Has no effect: the schema is always enforced."""


class ResponseFormat(RequestBody):
    """Format of the generated text."""

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


def _check_token_ids(value: object) -> object:
    """Reject keys that are not token ids with one message, which repeats none of them."""
    if isinstance(value, dict) and not all(_is_token_id(str(key)) for key in value):
        raise ValueError("each key must be a token id: up to 9 digits, as a string")
    return value


def _is_token_id(key: str) -> bool:
    return key.isascii() and key.isdecimal() and len(key) <= MAX_TOKEN_ID_DIGITS


def _to_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class GenerationOptions(RequestBody, IgnoredParameters):
    """Options of text generation. An option that is not set has the checkpoint's default."""

    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Model id; default: the model that is served."""
    truncate: bool = False
    """Use the beginning of a clip that exceeds the maximum length, instead of rejecting it."""
    max_tokens: Annotated[int, Field(ge=1, le=MAX_OUTPUT_TOKENS), WHOLE_NUMBER] | None = None
    """Maximum number of tokens to generate."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Sampling temperature; 0 is greedy decoding."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Sample from the most likely tokens whose probabilities add up to `top_p`."""
    top_k: Annotated[int, Field(ge=1, le=1_000_000), WHOLE_NUMBER] | None = None
    """Sample from the `top_k` most likely tokens."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Exclude tokens less likely than `min_p` times the most likely one."""
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None
    """Penalty on tokens of the prompt and of the generated text; 1 is off."""
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Penalty on each occurrence of a token in the generated text; 0 is off."""
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Penalty on tokens that occur in the generated text; 0 is off."""
    logit_bias: (
        Annotated[
            dict[Annotated[int, Strict(strict=False)], Annotated[float, Field(ge=-100, le=100)]],
            Field(
                max_length=MAX_BIASES,
                json_schema_extra={"propertyNames": {"pattern": "^[0-9]{1,9}$"}},
            ),
            BeforeValidator(_check_token_ids),
        ]
        | None
    ) = None
    """Bias added to the logits, by token id (a string of digits)."""
    seed: Annotated[int, Field(ge=0, lt=2**63), WHOLE_NUMBER] | None = None
    """Seed of the random number generator, for reproducible sampling."""
    response_format: ResponseFormat | None = None
    """Constrain the generated text to JSON."""
    stop: Annotated[
        StopList | None,
        BeforeValidator(_to_list, json_schema_input_type=StopSequence | StopList | None),
    ] = None
    """Up to 4 strings that end the generation; they are not part of the text."""
    stream: bool | None = None
    """Stream the response as server-sent events while it is generated."""


class StreamOptions(RequestBody):
    """Options of a streamed response, as in OpenAI's API."""

    include_usage: bool | None = None
    """Send a final event with the `usage` and an empty list of choices."""
    include_obfuscation: bool | None = None
    """Accepted for compatibility; events are never padded."""


class ChatRequest(GenerationOptions):
    """Request body of `POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    """The conversation so far."""
    max_completion_tokens: (
        Annotated[int, Field(ge=1, le=MAX_OUTPUT_TOKENS), WHOLE_NUMBER] | None
    ) = None
    """Maximum number of tokens to generate; takes precedence over `max_tokens`."""
    stream_options: StreamOptions | None = None
    """Options for `stream: true`."""
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES), WHOLE_NUMBER] | None = None
    """Number of choices to generate. With a seed they have the seeds seed, seed + 1, …"""
    logprobs: bool | None = None
    """Return the log probability of each generated token."""
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS), WHOLE_NUMBER] | None = None
    """Number of alternative tokens per position; requires `logprobs`."""

    @field_validator("top_logprobs")
    @classmethod
    def _needs_logprobs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and not info.data.get("logprobs"):
            raise ValueError("requires logprobs: true")
        return value


class CaptionRequest(GenerationOptions):
    """Request body of `POST /v1/audio/captions`."""

    audio: AudioInput
    style: Style = "detailed"
    """Level of detail of the caption."""
    prompt: Text | None = None
    """Prompt to use instead of the style's."""


class EmbeddingOptions(RequestBody):
    """Options of embeddings."""

    layer: Layer = "encoder"
    """`encoder`: output of the audio encoder. `projector`: input of the language model."""
    pooling: Pooling = "none"
    """`none`: one row per frame (25 per second). `mean`: one row per clip."""
    encoding_format: EncodingFormat = "float"
    """`float`: lists of numbers. `base64`: little-endian float32. `npy`: a NumPy file."""
    truncate: bool = False
    """Use the beginning of a clip that exceeds the maximum length, instead of rejecting it."""


class EmbeddingRequest(EmbeddingOptions):
    """Request body of `POST /v1/audio/embeddings`."""

    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Model id; default: the model that is served."""
    audio: AudioInput


class AnalyzeRequest(CaptionRequest, EmbeddingOptions):
    """Request body of `POST /v1/audio/analyze`: caption and embed a clip that is encoded once."""

    encoding_format: Literal["float", "base64"] = "float"
    """`float`: lists of numbers. `base64`: little-endian float32."""
