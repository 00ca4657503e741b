"""A transcription's prompt, and its answer in the formats of OpenAI's transcription API.

Pure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flamingo_common.errors import AnswerWithoutTimes
from flamingo_common.timed_text import cues, parse, render
from flamingo_common.wire.requests import CaptionRequest
from flamingo_common.wire.responses import (
    AudioReference,
    AudioUsage,
    FinishReason,
    RequestMetrics,
    Usage,
)
from flamingo_common.wire.sampling_options import SamplingOptions
from flamingo_common.wire.transcriptions import (
    UNKNOWN_LANGUAGE,
    Transcription,
    TranscriptionDuration,
    TranscriptionRequest,
    TranscriptionSegment,
    TranscriptionTokenDetails,
    TranscriptionUsage,
    VerboseTranscription,
)

LYRICS = "Generate a structured lyric sheet from the input music."
"""As the model's authors ask for lyrics."""
TIMES = "Begin each line with the time at which it is sung, as [mm:ss.xx]."
LANGUAGE = "The lyrics are in the language with the ISO 639 code {}."
RENDERED = {"srt": render.srt, "vtt": render.vtt}
MEDIA_TYPES = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}


def prompt(request: TranscriptionRequest) -> str:
    """Return the prompt that a request means."""
    language = LANGUAGE.format(request.language) if request.language else ""
    sentences = [LYRICS, TIMES if request.has_times else "", language, request.prompt or ""]
    return " ".join(filter(None, sentences))


def caption_options(request: TranscriptionRequest) -> CaptionRequest:
    """Return the options of the caption that has the same answer, without its clip."""
    shared: dict[str, Any] = {name: getattr(request, name) for name in SamplingOptions.model_fields}
    return CaptionRequest.model_construct(
        **shared | {"audio": None},
        model=request.model,
        prompt=prompt(request),
        max_tokens=request.max_tokens,
        structured_outputs=request.structured_outputs,
    )


def usage_of(usage: Usage) -> TranscriptionUsage:
    """Return a usage under the names of this API."""
    details = usage.prompt_tokens_details
    return TranscriptionUsage(
        **_audio(usage),
        input_tokens=usage.prompt_tokens,
        input_token_details=TranscriptionTokenDetails(
            audio_tokens=details.audio_tokens, text_tokens=details.text_tokens
        ),
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
    )


def _audio(usage: AudioUsage) -> dict[str, object]:
    return {name: getattr(usage, name) for name in AudioUsage.model_fields}


@dataclass(frozen=True, slots=True)
class Answer:
    """The model's answer, and what it has cost."""

    text: str
    finish_reason: FinishReason
    usage: Usage
    temperature: float
    metrics: RequestMetrics | None = None
    audio: AudioReference | None = None


def plain(answer: Answer) -> Transcription:
    """Return the response in JSON: the answer as it is."""
    return Transcription(
        text=answer.text,
        finish_reason=answer.finish_reason,
        usage=usage_of(answer.usage),
        audio=answer.audio,
        metrics=answer.metrics,
    )


def verbose(request: TranscriptionRequest, answer: Answer) -> VerboseTranscription:
    """Return the response with a segment for each line that has a time."""
    usage = answer.usage
    start_s, clip_s = usage.audio_start_seconds, usage.audio_end_seconds
    content = parse.parse(answer.text, clip_s, start_s=start_s)
    found = cues.cues(content, clip_s, start_s=start_s)
    return VerboseTranscription(
        language=request.language or UNKNOWN_LANGUAGE,
        duration=usage.audio_seconds,
        text="\n".join(line.text for line in content.lines),
        segments=list(_segments(found, answer.temperature)),
        faults=list(content.faults),
        finish_reason=answer.finish_reason,
        usage=TranscriptionDuration(**_audio(usage), seconds=usage.audio_seconds),
        audio=answer.audio,
        metrics=answer.metrics,
    )


def _segments(found: list[cues.Cue], temperature: float) -> Iterator[TranscriptionSegment]:
    for number, cue in enumerate(found):
        yield TranscriptionSegment(
            id=number, start=cue.start_s, end=cue.end_s, text=cue.text, temperature=temperature
        )


def as_text(request: TranscriptionRequest, answer: Answer) -> str:
    """Return the body of a response that is not JSON.

    Raises:
        AnswerWithoutTimes: subtitles were requested, and the answer has no times.
    """
    rendered = RENDERED.get(request.response_format)
    if rendered is None:
        return answer.text
    start_s, clip_s = answer.usage.audio_start_seconds, answer.usage.audio_end_seconds
    content = parse.parse(answer.text, clip_s, start_s=start_s)
    try:
        return rendered(content, clip_s, start_s=start_s)
    except render.NoTimes as error:
        raise AnswerWithoutTimes(
            f"{error}; request json, or ask for times in prompt", param="response_format"
        ) from None
