"""What OpenAI's clients may ask of `/v1/embeddings`: one vector a clip.

OpenAI embeds text. Here the same call embeds audio: `input` takes a URL of it (a
`data:` URL too, which is text to a typed client), an audio part, or a list of them.

Pure.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from flamingo_common.wire.requests import (
    MAX_MESSAGES,
    WHOLE_NUMBER,
    AnyAudioPart,
    AudioInput,
    EmbeddingOptions,
    Message,
    Part,
    TextPart,
    audio_input_of,
    exactly_one_of,
    parts_of,
)

MAX_INPUTS = 32
"""They are encoded one after the other."""
URL_STARTS = ("data:", "http://", "https://")
Clips = Annotated[
    list[Annotated[AnyAudioPart, Field(discriminator="type")]],
    Field(min_length=1, max_length=MAX_INPUTS),
]
AudioRef = (
    Annotated[str, Field(pattern="^(data:|https?://)")]
    | Annotated[AnyAudioPart, Field(discriminator="type")]
)
OneOrSeveral = AudioRef | Annotated[list[AudioRef], Field(min_length=1, max_length=MAX_INPUTS)]


def _as_parts(value: object) -> object:
    """Write every way to name one clip or several as a list of audio parts."""
    several = value if isinstance(value, list) else [value]
    return [_as_part(each) for each in several]


def _as_part(value: object) -> object:
    if isinstance(value, dict):
        return value
    if isinstance(value, str) and value.startswith(URL_STARTS):
        return {"type": "audio_url", "audio_url": {"url": value}}
    raise ValueError(
        "this model embeds audio, not text: give a data: or http(s) URL of audio, or an audio part"
    )


class OpenAIEmbeddingRequest(EmbeddingOptions):
    """`POST /v1/embeddings`: one vector a clip, as OpenAI's clients ask for it."""

    model_config = ConfigDict(json_schema_extra=exactly_one_of("input", "messages"))

    model: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    input: (
        Annotated[Clips, BeforeValidator(_as_parts, json_schema_input_type=OneOrSeveral)] | None
    ) = None
    """A clip or a list of them, each a `data:` or `http(s)` URL or an audio part."""
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)] | None = None
    """Instead of `input`, as vLLM has it: a conversation that holds one clip and no words."""
    dimensions: Annotated[int, Field(ge=1, le=65_536), WHOLE_NUMBER] | None = None
    """Only the width that the layer has."""
    pooling: Literal["mean"] = "mean"
    encoding_format: Literal["float", "base64"] = "float"

    @field_validator("messages")
    @classmethod
    def _one_clip_and_no_words(cls, value: list[Message] | None) -> list[Message] | None:
        if value is not None:
            parts = [part for message in value for part in parts_of(message)]
            if len(parts) != 1 or isinstance(parts[0], TextPart):
                raise ValueError("hold one audio part and no text: this model embeds audio only")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> "OpenAIEmbeddingRequest":
        if (self.input is None) == (self.messages is None):
            raise ValueError("give either input or messages")
        return self

    @property
    def clips(self) -> list[AudioInput]:
        """The clips, in order."""
        told: Iterable[Part] = chain(self.input or (), *map(parts_of, self.messages or ()))
        return [audio_input_of(part) for part in told if not isinstance(part, TextPart)]
