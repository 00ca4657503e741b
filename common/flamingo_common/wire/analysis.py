"""Request body of `POST /v1/audio/analyze`, with the questions that it can have.

Pure.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from flamingo_common.measured.comparisons import Counterpart
from flamingo_common.wire import message_parameters, parameters
from flamingo_common.wire.clip_options import ClipOptions
from flamingo_common.wire.decisions import MAX_ORDERS, DecisionOptions
from flamingo_common.wire.decisions import MAX_QUESTIONS as MAX_DECISIONS
from flamingo_common.wire.decisions import MAX_TEMPERATURE as MAX_DECISION_TEMPERATURE
from flamingo_common.wire.decisions import Questions as Decisions
from flamingo_common.wire.parameters import Table
from flamingo_common.wire.request_body import WHOLE_NUMBER, RequestBody
from flamingo_common.wire.requests import (
    CaptionRequest,
    EmbeddingOptions,
    ResponseFormat,
    Style,
    Text,
)
from flamingo_common.wire.sampling_options import MAX_TEMPERATURE, OutputTokens, TokenOptions
from flamingo_common.wire.structured_outputs import StructuredOutputs

MAX_QUESTIONS = 32
_ONE_OF_TEXT = "prompt, style, recipe and decisions"
NAME = r"^[a-zA-Z0-9_.-]{1,64}$"
ONE_OF = ("prompt", "style", "recipe", "decisions")
Parser = Literal["sections"]
"""What an answer is read as: `sections`, as sections and lines with times."""
EMBEDDING_FIELDS = {*EmbeddingOptions.model_fields} - {*ClipOptions.model_fields}


class Question(RequestBody, TokenOptions):
    """One question about the clip: exactly one of `prompt`, `style`, `recipe` and `decisions`.

    An option that is not set is that of the request. Decisions have `orders` and `temperature`.
    """

    table: ClassVar[Table] = message_parameters.QUESTION

    name: Annotated[str, Field(pattern=NAME)]
    """Names the answer; unique in the request."""
    prompt: Annotated[Text, Field(min_length=1)] | None = None
    """The question in your own words."""
    style: Style | None = None
    """A caption's level of detail."""
    recipe: Annotated[str, Field(max_length=64)] | None = None
    """Name of one of the server's recipes: `GET /v1/recipes`."""
    decisions: Decisions | None = None
    """Questions of `/v1/decisions`, which are answered with probabilities."""
    orders: Annotated[int, Field(ge=1, le=MAX_ORDERS), WHOLE_NUMBER] | None = None
    """Of decisions: ask each with its options in so many orders (1), and average."""
    temperature: Annotated[float, Field(ge=0, le=MAX_DECISION_TEMPERATURE)] | None = None
    """Sampling temperature, up to 2; 0 is greedy decoding. Of decisions: divide the
    log-probabilities of the options by it (1)."""
    max_tokens: OutputTokens | None = None
    """Maximum number of tokens to generate; default: the recipe's, or the request's."""
    response_format: ResponseFormat | None = None
    """Constrain the answer to JSON."""
    structured_outputs: StructuredOutputs | None = None
    """Constrain the answer, as in vLLM's API."""
    measured: dict[str, Counterpart] | None = None
    """Fields of an answer in JSON that are compared if the request sets `measure`, and with what:
    `tempo_bpm` or `key`. Default: those of the recipe."""
    parser: Parser | None = None
    """`sections`: read the answer as sections and lines with times. Default: as the recipe says."""

    @model_validator(mode="after")
    def _asks_one_thing(self) -> "Question":
        given = [name for name in ONE_OF if getattr(self, name) is not None]
        if len(given) != 1:
            found = f", not {' and '.join(given)}" if given else ""
            raise ValueError(f"exactly one of {_ONE_OF_TEXT} is required{found}")
        if self.decisions is not None:
            self._check_decision_options()
        elif self.orders is not None:
            raise ValueError("orders is for decisions; remove it")
        elif self.temperature is not None and self.temperature > MAX_TEMPERATURE:
            raise ValueError(
                f"temperature: must be from 0 to {MAX_TEMPERATURE}, except of decisions"
            )
        return self

    def _check_decision_options(self) -> None:
        options = self.model_fields_set - {"name", *ONE_OF, *DecisionOptions.model_fields}
        unused = sorted(name for name in options if getattr(self, name) is not None)
        if unused:
            raise ValueError(f"decisions are answered without text; remove {' and '.join(unused)}")
        if self.temperature == 0:
            raise ValueError("temperature: must be above 0 for decisions")


class AnalyzeRequest(CaptionRequest, EmbeddingOptions):
    """Request body of `POST /v1/audio/analyze`: several results of a clip that is encoded once.

    Without `questions` they are a caption and an embedding. With `questions` they are one answer to
    each, and an embedding if `layer`, `pooling` or `encoding_format` is set.
    """

    table: ClassVar[Table] = parameters.ANALYSIS

    encoding_format: Literal["float", "base64"] = "float"
    """`float`: lists of numbers. `base64`: little-endian float32."""
    questions: Annotated[list[Question], Field(min_length=1, max_length=MAX_QUESTIONS)] | None = (
        None
    )
    """Questions about the clip, which are answered together."""
    confidence: bool = False
    """Whether answers in a format have the model's confidence in each of their values."""
    measure: bool = False
    """Whether tempo, beats, key and loudness are measured, too, and compared with answers."""

    @property
    def is_measured(self) -> bool:
        """Whether the file is needed after it was decoded."""
        return self.measure

    @property
    def has_embedding(self) -> bool:
        """Whether the response has an embedding."""
        return self.questions is None or bool(EMBEDDING_FIELDS & self.model_fields_set)

    @field_validator("questions")
    @classmethod
    def _are_the_only_ones(
        cls, value: list[Question] | None, info: ValidationInfo
    ) -> list[Question] | None:
        if repeated := _repeated([question.name for question in value or ()]):
            raise ValueError(f"two questions have the name {repeated!r}; each needs its own")
        num_decisions = sum(len(question.decisions or ()) for question in value or ())
        if num_decisions > MAX_DECISIONS:
            raise ValueError(
                f"the questions have {num_decisions} decisions together; at most"
                f" {MAX_DECISIONS} are accepted: ask them in several requests"
            )
        for name in ("prompt", "style"):
            if info.data.get(name) != cls.model_fields[name].default:
                raise ValueError(f"{name} and questions are both set; make it a question, too")
        return value

    @field_validator("confidence")
    @classmethod
    def _has_questions(cls, value: bool, info: ValidationInfo) -> bool:
        if value and "questions" in info.data and info.data["questions"] is None:
            raise ValueError("confidence is about answers to questions, and there are none")
        return value


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for at, name in enumerate(names) if name in names[:at]), None)
