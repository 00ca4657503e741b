"""What a client may ask, field by field, with every bound.

Unknown top-level fields are ignored, as OpenAI's own servers do: SDKs send
`extra_body` keys there. A known field with a value this server does not
implement is refused by name (`flamingo_common.wire.openai_unsupported`), never ignored.

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
"""What a form's field may be called."""
NULL: JsonDict = {"type": "null"}


def _whole(value: object) -> object:
    """JSON has one kind of number: 8.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE_NUMBER = BeforeValidator(_whole)
"""Stands last, so that the bounds stay in the schema."""
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
Stop = Annotated[str, Field(min_length=1, max_length=256)]
Stops = Annotated[list[Stop], Field(max_length=MAX_STOPS)]
Style = Literal["detailed", "brief", "technical"]
Layer = Literal["encoder", "projector"]
Pooling = Literal["none", "mean"]
EncodingFormat = Literal["float", "base64", "npy"]


class RequestBody(BaseModel):
    """Base of all that comes in: wrong types are errors, unknown fields are not.

    Strict, so that JSON means what the OpenAPI document says: `"1"` is no number. The
    fields of a form are text and are read as what they say (`flamingo_common.wire.parse`).
    """

    model_config = ConfigDict(
        extra="ignore",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


def exactly_one_of(this: str, that: str) -> JsonDict:
    """Return, for a schema, that of two fields just one is given."""
    return {"oneOf": [_only(this, that), _only(that, this)]}


def _only(this: str, that: str) -> JsonDict:
    return {"required": [this], "properties": {this: {"not": NULL}, that: NULL}}


class AudioInput(RequestBody):
    """One clip: base64 bytes (or a `data:` URL), or an `http(s)` URL; one of the two."""

    model_config = ConfigDict(json_schema_extra=exactly_one_of("data", "url"))

    data: str | None = None
    """Base64, standard or URL-safe alphabet."""
    url: Annotated[str, Field(max_length=8192)] | None = None
    format: Annotated[str, Field(max_length=64)] | None = None
    """A hint; the bytes decide."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "AudioInput":
        if (self.data is None) == (self.url is None):
            raise ValueError("give either data (base64) or url")
        return self


class AudioUrl(RequestBody):
    """vLLM's way: `http(s)` or `data:` in one field. It may be as long as the audio."""

    url: str


class TextPart(RequestBody):
    """Words."""

    type: Literal["text"]
    text: Text


class InputAudioPart(RequestBody):
    """OpenAI's audio part."""

    type: Literal["input_audio"]
    input_audio: AudioInput


class AudioUrlPart(RequestBody):
    """vLLM's audio part."""

    type: Literal["audio_url"]
    audio_url: AudioUrl


class AudioPart(RequestBody):
    """The audio part of the first Flamingo server."""

    type: Literal["audio"]
    audio: AudioInput


AnyAudioPart = InputAudioPart | AudioUrlPart | AudioPart
Part = Annotated[TextPart | AnyAudioPart, Field(discriminator="type")]


def _shape(content: object) -> str:
    """Pick one branch of the union, so that a fault is told once, not once a branch."""
    return "parts" if isinstance(content, list) else "text"


Content = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[list[Part], Field(min_length=1, max_length=MAX_PARTS), Tag("parts")],
    Discriminator(_shape),
]


class Message(RequestBody):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content


def parts_of(message: Message) -> list[Part]:
    """Return the parts of a turn; words alone are one part."""
    content = message.content
    return [TextPart(type="text", text=content)] if isinstance(content, str) else content


def audio_input_of(part: AnyAudioPart) -> AudioInput:
    """Return the clip of a part, whoever's way of writing it that is."""
    match part:
        case InputAudioPart():
            return part.input_audio
        case AudioPart():
            return part.audio
        case AudioUrlPart():
            return AudioInput.model_construct(url=part.audio_url.url)


class JsonSchema(RequestBody):
    """OpenAI's wrapping of a schema. It is enforced to the letter, `strict` or not."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class ResponseFormat(RequestBody):
    """What the answer's text must be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Annotated[JsonSchema | None, Field(validate_default=True)] = None

    @field_validator("json_schema")
    @classmethod
    def _is_there_when_named(
        cls, value: JsonSchema | None, info: ValidationInfo
    ) -> JsonSchema | None:
        if value is None and info.data.get("type") == "json_schema":
            raise ValueError("is required with type json_schema")
        return value


def _number_keys(value: object) -> object:
    """Refuse keys that are no token ids in one sentence, which repeats none of them."""
    if isinstance(value, dict) and not all(_is_token_id(str(key)) for key in value):
        raise ValueError("each key is a token id, digits in quotes")
    return value


def _is_token_id(key: str) -> bool:
    return key.isascii() and key.isdecimal() and len(key) <= MAX_TOKEN_ID_DIGITS


def _list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class GenerationOptions(RequestBody, IgnoredParameters):
    """How the answer's tokens are chosen. Unset means the checkpoint's own default."""

    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Unset means the one model served."""
    truncate: bool = False
    """Hear the beginning of a clip that is too long, and say so, instead of refusing it."""
    max_tokens: Annotated[int, Field(ge=1, le=MAX_OUTPUT_TOKENS), WHOLE_NUMBER] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=1, le=1_000_000), WHOLE_NUMBER] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None
    """Of all that was read or said; 1 is none."""
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """For each time that a token was said."""
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """For a token that was said at all."""
    logit_bias: (
        Annotated[
            dict[Annotated[int, Strict(strict=False)], Annotated[float, Field(ge=-100, le=100)]],
            Field(
                max_length=MAX_BIASES,
                json_schema_extra={"propertyNames": {"pattern": "^[0-9]{1,9}$"}},
            ),
            BeforeValidator(_number_keys),
        ]
        | None
    ) = None
    """By token id. The pod knows which ids there are."""
    seed: Annotated[int, Field(ge=0, lt=2**63), WHOLE_NUMBER] | None = None
    response_format: ResponseFormat | None = None
    stop: Annotated[
        Stops | None, BeforeValidator(_list, json_schema_input_type=Stop | Stops | None)
    ] = None
    stream: bool | None = None
    """Answer with server-sent events, as the words come."""


class StreamOptions(RequestBody):
    """OpenAI's `stream_options`."""

    include_usage: bool | None = None
    """End with an event that has no choices and the `usage`."""
    include_obfuscation: bool | None = None
    """Accepted; nothing is padded."""


class ChatRequest(GenerationOptions):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: (
        Annotated[int, Field(ge=1, le=MAX_OUTPUT_TOKENS), WHOLE_NUMBER] | None
    ) = None
    """Wins over `max_tokens`, its older name."""
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES), WHOLE_NUMBER] | None = None
    """How many answers; with a seed, each has its own: seed, seed + 1, …"""
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS), WHOLE_NUMBER] | None = None

    @field_validator("top_logprobs")
    @classmethod
    def _needs_logprobs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and not info.data.get("logprobs"):
            raise ValueError("needs logprobs: true")
        return value


class CaptionRequest(GenerationOptions):
    """`POST /v1/audio/captions`. `prompt` replaces the style's words."""

    audio: AudioInput
    style: Style = "detailed"
    prompt: Text | None = None


class EmbeddingOptions(RequestBody):
    """Which embedding, and how it is written."""

    layer: Layer = "encoder"
    """`encoder`: the audio encoder's own states. `projector`: what the language model hears."""
    pooling: Pooling = "none"
    """`none`: one row a frame (25 a second). `mean`: one row a clip."""
    encoding_format: EncodingFormat = "float"
    truncate: bool = False
    """Hear the beginning of a clip that is too long, and say so, instead of refusing it."""


class EmbeddingRequest(EmbeddingOptions):
    """`POST /v1/audio/embeddings`."""

    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    audio: AudioInput


class AnalyzeRequest(CaptionRequest, EmbeddingOptions):
    """`POST /v1/audio/analyze`: a caption and an embedding from one encoding of the clip."""

    encoding_format: Literal["float", "base64"] = "float"
