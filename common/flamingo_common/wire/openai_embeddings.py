"""Request body of `/v1/embeddings`, OpenAI's embeddings API: one vector per clip.

OpenAI embeds text; here the same call embeds audio. `input` is an `http(s)` or `data:`
URL of the audio (which is a string to a typed client), an audio part, or a list of them.

Pure.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from flamingo_common.wire import clip_ids
from flamingo_common.wire.parameters import OPENAI_EMBEDDINGS, Table
from flamingo_common.wire.request_body import WHOLE_NUMBER, exactly_one_of
from flamingo_common.wire.requests import (
    MAX_MESSAGES,
    AnyAudioPart,
    AudioInput,
    EmbeddingOptions,
    Message,
    ModelId,
    Part,
    TextPart,
    audio_input_of,
    parts_of,
)

MAX_INPUTS = 32
"""Clips per request, which are encoded one after the other."""
URL_STARTS = ("data:", "http://", "https://")
URL_START_CHARS = 64
Clips = Annotated[
    list[Annotated[AnyAudioPart, Field(discriminator="type")]],
    Field(min_length=1, max_length=MAX_INPUTS),
]
AudioRef = (
    Annotated[str, Field(pattern="^(data:|https?://|clip-)")]
    | Annotated[AnyAudioPart, Field(discriminator="type")]
)
OneOrSeveral = AudioRef | Annotated[list[AudioRef], Field(min_length=1, max_length=MAX_INPUTS)]


def _as_parts(value: object) -> object:
    """Return one clip or several, in any accepted form, as a list of audio parts."""
    several = value if isinstance(value, list) else [value]
    return [_as_part(each) for each in several]


def _as_part(value: object) -> object:
    if isinstance(value, dict):
        return value
    if isinstance(value, str) and value[:URL_START_CHARS].lstrip().lower().startswith(URL_STARTS):
        return {"type": "audio_url", "audio_url": {"url": value}}
    if isinstance(value, str) and value.startswith(clip_ids.PREFIX):
        return {"type": "audio", "audio": {"id": value}}
    raise ValueError(
        "this model embeds audio, not text: pass a data: or http(s) URL of audio, an audio part, or"
        " the id of a clip"
    )


class OpenAIEmbeddingRequest(EmbeddingOptions):
    """Request body of `POST /v1/embeddings`: one vector per clip, compatible with OpenAI."""

    table: ClassVar[Table] = OPENAI_EMBEDDINGS

    model_config = ConfigDict(json_schema_extra=exactly_one_of("input", "messages"))

    model: ModelId | None = None
    """Model id; default: the model that is served."""
    input: (
        Annotated[Clips, BeforeValidator(_as_parts, json_schema_input_type=OneOrSeveral)] | None
    ) = None
    """One clip or a list of clips, each a `data:` or `http(s)` URL or an audio part."""
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)] | None = None
    """Alternative to `input`, as in vLLM: a conversation with exactly one clip and no text."""
    dimensions: Annotated[int, Field(ge=1, le=65_536), WHOLE_NUMBER] | None = None
    """Must be the layer's embedding size, if set: embeddings are not shortened."""
    pooling: Literal["mean"] = "mean"
    """Always `mean`: one vector per clip."""
    encoding_format: Literal["float", "base64"] = "float"
    """`float`: a list of numbers. `base64`: little-endian float32."""

    @field_validator("messages")
    @classmethod
    def _has_one_clip_and_no_text(cls, value: list[Message] | None) -> list[Message] | None:
        if value is not None:
            parts = [part for message in value for part in parts_of(message)]
            has_calls = any(message.tool_calls or message.function_call for message in value)
            if len(parts) != 1 or isinstance(parts[0], TextPart) or has_calls:
                raise ValueError(
                    "must contain exactly one audio part and no text: this model embeds audio only"
                )
        return value

    @model_validator(mode="after")
    def _has_input_or_messages(self) -> "OpenAIEmbeddingRequest":
        if (self.input is None) == (self.messages is None):
            raise ValueError("exactly one of input and messages is required")
        return self

    @property
    def clips(self) -> dict[str, AudioInput]:
        """The clips by their place in the request, in its order."""
        parts = dict(self._parts())
        return {
            place: audio_input_of(part)
            for place, part in parts.items()
            if not isinstance(part, TextPart)
        }

    def _parts(self) -> Iterator[tuple[str, Part]]:
        for number, clip in enumerate(self.input or ()):
            yield f"input[{number}]" if len(self.input or ()) > 1 else "input", clip
        for number, message in enumerate(self.messages or ()):
            for at, part in enumerate(parts_of(message)):
                yield f"messages[{number}].content[{at}]", part
