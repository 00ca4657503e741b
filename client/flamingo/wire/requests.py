"""What a client may ask, field by field, with every bound.

Unknown top-level fields are ignored, as OpenAI's own servers do: SDKs send
`extra_body` keys there. A known field with a value this server does not
implement is refused by name (`flamingo.wire.unsupported`), never ignored.

Pure.
"""

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

MAX_MESSAGES = 256
MAX_TEXT_CHARS = 100_000
MAX_PARTS = 64
MAX_STOPS = 4
MAX_OUTPUT_TOKENS = 32_768

Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
Style = Literal["detailed", "brief", "technical"]
Layer = Literal["encoder", "projector"]
Pooling = Literal["none", "mean"]
EncodingFormat = Literal["float", "base64", "npy"]


class Body(BaseModel):
    """Base of all that comes in: wrong types are errors, unknown fields are not."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, hide_input_in_errors=True)


class AudioInput(Body):
    """One clip: base64 bytes (or a `data:` URL), or an `http(s)` URL; one of the two."""

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


class AudioUrl(Body):
    """vLLM's way: `http(s)` or `data:` in one field. It may be as long as the audio."""

    url: str


class TextPart(Body):
    """Words."""

    type: Literal["text"]
    text: Text


class InputAudioPart(Body):
    """OpenAI's audio part."""

    type: Literal["input_audio"]
    input_audio: AudioInput


class AudioUrlPart(Body):
    """vLLM's audio part."""

    type: Literal["audio_url"]
    audio_url: AudioUrl


class AudioPart(Body):
    """The audio part of the first Flamingo server."""

    type: Literal["audio"]
    audio: AudioInput


Part = Annotated[TextPart | InputAudioPart | AudioUrlPart | AudioPart, Field(discriminator="type")]


def _shape(content: object) -> str:
    """Pick one branch of the union, so that a fault is told once, not once a branch."""
    return "parts" if isinstance(content, list) else "text"


Content = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[list[Part], Field(min_length=1, max_length=MAX_PARTS), Tag("parts")],
    Discriminator(_shape),
]


class Message(Body):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content


class Sampling(Body):
    """How the answer's tokens are chosen. Unset means the checkpoint's own default."""

    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Unset means the one model served."""
    max_tokens: Annotated[int, Field(ge=1, le=MAX_OUTPUT_TOKENS)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    stop: list[Annotated[str, Field(min_length=1, max_length=256)]] | None = Field(
        default=None, max_length=MAX_STOPS
    )
    stream: bool = False

    @field_validator("stop", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class StreamOptions(Body):
    """OpenAI's `stream_options`."""

    include_usage: bool = False


class ChatRequest(Sampling):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_OUTPUT_TOKENS)] | None = None
    stream_options: StreamOptions | None = None


class CaptionRequest(Sampling):
    """`POST /v1/audio/captions`. `prompt` replaces the style's words."""

    audio: AudioInput
    style: Style = "detailed"
    prompt: Text | None = None


class EmbeddingOptions(Body):
    """Which embedding, and how it is written."""

    layer: Layer = "encoder"
    """`encoder`: the audio encoder's own states. `projector`: what the language model hears."""
    pooling: Pooling = "none"
    """`none`: one row a frame (25 a second). `mean`: one row a clip."""
    encoding_format: EncodingFormat = "float"


class EmbeddingRequest(EmbeddingOptions):
    """`POST /v1/audio/embeddings`."""

    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    audio: AudioInput


class AnalyzeRequest(CaptionRequest, EmbeddingOptions):
    """`POST /v1/audio/analyze`: a caption and an embedding from one encoding of the clip."""

    encoding_format: Literal["float", "base64"] = "float"
