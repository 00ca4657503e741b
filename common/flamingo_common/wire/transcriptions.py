"""`/v1/audio/transcriptions`, OpenAI's transcription API: the lyrics of a clip.

Pure.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from flamingo_common.wire.parameters import Table
from flamingo_common.wire.requests import AudioInput, ModelId, Text
from flamingo_common.wire.responses import (
    AudioReference,
    AudioUsage,
    FinishReason,
    RequestMetrics,
    ResponseBody,
    is_none,
)
from flamingo_common.wire.sampling_options import OutputTokens, SamplingOptions
from flamingo_common.wire.structured_outputs import StructuredOutputs
from flamingo_common.wire.transcriptions_parameters import TRANSCRIPTION

TranscriptionFormat = Literal["json", "text", "verbose_json", "srt", "vtt"]
UNKNOWN_LANGUAGE = "und"
"""ISO 639 has this code for a language that is not determined."""


class TranscriptionRequest(SamplingOptions):
    """Request body of `POST /v1/audio/transcriptions`."""

    table: ClassVar[Table] = TRANSCRIPTION

    model: ModelId | None = None
    """Model id; default: the model that is served."""
    audio: AudioInput
    language: Annotated[str, Field(pattern="^[A-Za-z]{2,3}(-[A-Za-z]{2,4})?$")] | None = None
    """Language of the lyrics as a code of ISO 639, such as `en`, which the prompt names."""
    prompt: Text | None = None
    """What else the model is asked: it follows the request for the lyrics."""
    response_format: TranscriptionFormat = "json"
    """`verbose_json`, `srt` and `vtt` have the times that the model states."""
    timestamp_granularities: Annotated[list[Literal["segment"]], Field(max_length=2)] | None = None
    """`segment`: the lines of the lyrics, which `verbose_json` always has."""
    max_tokens: OutputTokens | None = None
    """Maximum number of tokens to generate."""
    structured_outputs: StructuredOutputs | None = None
    """Constrain the text, as in vLLM's API."""

    @field_validator("response_format")
    @classmethod
    def _streams_are_json(cls, value: str, info: ValidationInfo) -> str:
        if value != "json" and info.data.get("stream"):
            raise ValueError("must be 'json' with stream: true")
        return value

    @field_validator("timestamp_granularities")
    @classmethod
    def _has_segments(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        if value and info.data.get("response_format", "verbose_json") != "verbose_json":
            raise ValueError("needs response_format: verbose_json")
        return value

    @property
    def has_times(self) -> bool:
        """Whether the answer is read for the times of its lines."""
        return self.response_format in ("verbose_json", "srt", "vtt")


class TranscriptionTokenDetails(ResponseBody):
    """Input tokens by kind."""

    audio_tokens: int
    text_tokens: int


class TranscriptionUsage(AudioUsage):
    """Tokens and audio that a request used."""

    type: Literal["tokens"] = "tokens"
    input_tokens: int
    input_token_details: TranscriptionTokenDetails
    output_tokens: int
    total_tokens: int


class TranscriptionDuration(AudioUsage):
    """Audio that a request used."""

    type: Literal["duration"] = "duration"
    seconds: float


class Transcription(ResponseBody):
    """Response of `POST /v1/audio/transcriptions`, with `response_format: json`."""

    text: str
    finish_reason: FinishReason
    """`length`: the lyrics go on, and `max_tokens` were reached."""
    usage: TranscriptionUsage
    audio: AudioReference | None = Field(default=None, exclude_if=is_none)
    """The clip, if it is held."""
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)


class TranscriptionSegment(ResponseBody):
    """A line of the lyrics with the times that the model states."""

    id: int
    start: float
    end: float
    text: str
    seek: int = 0
    """Always 0: the model listens to the clip as a whole."""
    tokens: list[int] = Field(default_factory=list)
    """Always empty."""
    temperature: float
    avg_logprob: float = 0.0
    """Always 0: not measured."""
    compression_ratio: float = 0.0
    """Always 0: not measured."""
    no_speech_prob: float = 0.0
    """Always 0: not measured."""


class VerboseTranscription(ResponseBody):
    """Response of `POST /v1/audio/transcriptions`, with `response_format: verbose_json`."""

    task: Literal["transcribe"] = "transcribe"
    language: str
    """That of the request, or `und`: it is not detected."""
    duration: float
    """Seconds of the clip."""
    text: str
    """The lyrics, without times and headings."""
    segments: list[TranscriptionSegment]
    """Empty if the model has stated no times."""
    faults: list[str]
    """Times that contradict each other or the clip."""
    finish_reason: FinishReason
    """`length`: the lyrics go on, and `max_tokens` were reached."""
    usage: TranscriptionDuration
    audio: AudioReference | None = Field(default=None, exclude_if=is_none)
    """The clip, if it is held."""
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)


class AnyTranscription(ResponseBody):
    """Response of `POST /v1/audio/transcriptions`: other fields depend on the format."""

    text: str


class TranscriptionEvent(ResponseBody):
    """One event of a stream: a piece of the text, or all of it at the end."""

    type: Literal["transcript.text.delta", "transcript.text.done"]
    delta: str | None = Field(default=None, exclude_if=is_none)
    text: str | None = Field(default=None, exclude_if=is_none)
    finish_reason: FinishReason | None = Field(default=None, exclude_if=is_none)
    usage: TranscriptionUsage | None = Field(default=None, exclude_if=is_none)
    audio: AudioReference | None = Field(default=None, exclude_if=is_none)
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)
