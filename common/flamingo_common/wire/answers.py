"""Responses of `POST /v1/audio/analyze`, with answers to questions, and of `GET /v1/recipes`.

Pure.
"""

from typing import Any, Literal

from pydantic import Field

from flamingo_common.measured.comparisons import Counterpart
from flamingo_common.timed_text import content
from flamingo_common.timed_text.content import TimedText
from flamingo_common.wire.decisions import Answer as DecisionAnswer
from flamingo_common.wire.measured import Comparison, Measured
from flamingo_common.wire.responses import (
    AudioReference,
    CaptionChunk,
    EmbeddingData,
    FinishReason,
    RequestMetrics,
    ResponseBody,
    Usage,
    is_none,
)


class TimedLine(ResponseBody):
    """A line of a section; a time that the model does not state is null."""

    text: str
    start_s: float | None = None
    end_s: float | None = None


class TimedSection(ResponseBody):
    """A section of a song; a time that the model does not state is null."""

    name: str | None
    """Null for lines without a heading."""
    start_s: float | None = None
    end_s: float | None = None
    lines: list[TimedLine] = Field(default_factory=list)
    description: str | None = Field(default=None, exclude_if=is_none)
    """What the model says about the section."""


class AnswerUsage(ResponseBody):
    """Tokens of one question. The clip's are counted once, in the usage of the response."""

    prompt_tokens: int
    """Tokens of the question, without those of the clip."""
    completion_tokens: int


class AnswerError(ResponseBody):
    """Why a question has no answer, or one that is not what was requested."""

    code: str
    """`answer_incomplete`, or a code of the table of errors."""
    message: str


class Answer(ResponseBody):
    """The answer to one question."""

    content: str
    """The text of the answer."""
    finish_reason: FinishReason | None
    """Null if the question failed, and of decisions, which have no text."""
    recipe: str | None = Field(default=None, exclude_if=is_none)
    """The recipe that the question names."""
    parsed: Any = Field(default=None, exclude_if=is_none)
    """The content as a value, if it is constrained to JSON."""
    confidence: dict[str, float] | None = Field(default=None, exclude_if=is_none)
    """Of an answer in a format: the confidence, from 0 to 1, in each value, by its JSON Pointer."""
    comparisons: list[Comparison] | None = Field(default=None, exclude_if=is_none)
    """With `measure`: the fields of the recipe that can be measured, with both values."""
    sections: list[TimedSection] | None = Field(default=None, exclude_if=is_none)
    """What the content says about sections, of a recipe that is parsed so."""
    faults: list[str] | None = Field(default=None, exclude_if=is_none)
    """Times that contradict each other or the clip; beside `sections`."""
    decisions: list[DecisionAnswer] | None = Field(default=None, exclude_if=is_none)
    """The answers of a question with decisions, in their order, as of `/v1/decisions`."""
    error: AnswerError | None = Field(default=None, exclude_if=is_none)
    usage: AnswerUsage


class Analysis(ResponseBody):
    """Response of `POST /v1/audio/analyze`: a caption and an embedding, or answers to questions."""

    id: str
    object: Literal["audio.analysis"] = "audio.analysis"
    created: int
    model: str
    caption: str | None = Field(default=None, exclude_if=is_none)
    """Only without questions."""
    finish_reason: FinishReason | None = Field(default=None, exclude_if=is_none)
    """That of the caption."""
    answers: dict[str, Answer] | None = Field(default=None, exclude_if=is_none)
    """By the names of the questions."""
    embedding: EmbeddingData | None = Field(default=None, exclude_if=is_none)
    """Without questions, or if the request sets a field of embeddings."""
    measured: Measured | None = Field(default=None, exclude_if=is_none)
    """If the request sets `measure`."""
    usage: Usage
    audio: AudioReference | None = Field(default=None, exclude_if=is_none)
    """The clip, if it is held."""
    metrics: RequestMetrics | None = Field(default=None, exclude_if=is_none)


class AnalysisChunk(CaptionChunk):
    """One event of an analysis stream; the last has the `usage`, and the embedding if there is one.

    With questions, each event before the last is about one of them.
    """

    name: str | None = Field(default=None, exclude_if=is_none)
    """The question that the event is about."""
    answer: Answer | None = Field(default=None, exclude_if=is_none)
    """The whole answer, in the last event of its question."""
    embedding: EmbeddingData | None = Field(default=None, exclude_if=is_none)
    measured: Measured | None = Field(default=None, exclude_if=is_none)
    """In the last event, if the request sets `measure`."""


class RecipeCard(ResponseBody):
    """A recipe that questions can name."""

    name: str
    object: Literal["recipe"] = "recipe"
    description: str
    prompt: str
    json_schema: dict[str, Any] | None = Field(default=None, exclude_if=is_none)
    """The schema of its answer."""
    parser: str | None = Field(default=None, exclude_if=is_none)
    """`sections`: the answer is read as sections and lines with times."""
    measured: dict[str, Counterpart] | None = Field(default=None, exclude_if=is_none)
    """Which fields of its answer can be measured, and as what."""
    max_tokens: int | None = None
    """Maximum number of tokens of its answer; null: that of the server."""


class RecipeList(ResponseBody):
    """Response of `GET /v1/recipes`, by name."""

    object: Literal["list"] = "list"
    data: list[RecipeCard]


def to_sections(found: TimedText) -> list[TimedSection]:
    """Return the sections of an answer as they are in the response."""
    return [
        TimedSection(
            name=section.name,
            start_s=section.start_s,
            end_s=section.end_s,
            lines=[
                TimedLine(text=line.text, start_s=line.start_s, end_s=line.end_s)
                for line in section.lines
            ],
            description=section.description,
        )
        for section in found.sections
    ]


def to_timed_text(answer: Answer) -> TimedText:
    """Return an answer's sections as timed text, which can be rendered as LRC, SRT and WebVTT."""
    return TimedText(
        tuple(
            content.Section(
                section.name,
                section.start_s,
                section.end_s,
                tuple(content.Line(line.text, line.start_s, line.end_s) for line in section.lines),
                section.description,
            )
            for section in answer.sections or ()
        ),
        tuple(answer.faults or ()),
    )
