"""Request and response bodies of `/v1/decisions`: OpenAI's Decisions API, about clips as well.

`input` is what the questions are about: text, or messages with text and audio parts. Besides
OpenAI's fields there are `orders` and `temperature`, and the options of reading a clip.

Pure.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator

from flamingo_common.wire import decision_parameters
from flamingo_common.wire.clip_options import ClipOptions
from flamingo_common.wire.openai_responses_objects import OutputTokensDetails
from flamingo_common.wire.parameters import Table
from flamingo_common.wire.request_body import WHOLE_NUMBER, RequestBody
from flamingo_common.wire.requests import (
    MAX_MESSAGES,
    MAX_PARTS,
    AudioPart,
    AudioUrlPart,
    InputAudioPart,
    ModelId,
    Text,
    TextPart,
)
from flamingo_common.wire.responses import AudioUsage, ResponseBody

MAX_QUESTIONS = 400
MIN_OPTIONS, MAX_OPTIONS = 2, 255
MAX_OPTION_CHARS = 256
MAX_DESCRIPTION_CHARS = 2000
MAX_NAME_CHARS = 256
MAX_ORDERS = 16
MAX_TEMPERATURE = 100.0
MAX_QUESTIONS_CHARS = 400_000
"""Of all questions with their options, in all orders: about 100,000 tokens."""
NO_IMAGES = "the model has no images; send text or audio"


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


OptionText = Annotated[str, Field(max_length=MAX_OPTION_CHARS), AfterValidator(_not_blank)]
Description = Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARS)]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARS)]


class InputText(RequestBody):
    """Text, as OpenAI's newer APIs name it."""

    table: ClassVar[Table] = decision_parameters.INPUT_TEXT

    type: Literal["input_text", "output_text"]
    """`output_text`: in a message of the assistant."""
    text: Text


def _data_tag(data: object) -> str:
    """Return the union branch of `data`, so that an error is reported once."""
    return "objects" if isinstance(data, list) else "object"


class InputJson(RequestBody):
    """JSON, which the model reads as text."""

    table: ClassVar[Table] = decision_parameters.INPUT_JSON

    type: Literal["input_json"]
    data: Annotated[
        Annotated[dict[str, Any], Tag("object")] | Annotated[list[dict[str, Any]], Tag("objects")],
        Discriminator(_data_tag),
    ]


def _not_all_blank(parts: list[InputText | InputJson]) -> list[InputText | InputJson]:
    if not any(isinstance(part, InputJson) or part.text.strip() for part in parts):
        raise ValueError("must not be blank")
    return parts


InputPart = Annotated[
    InputText | InputJson | TextPart | InputAudioPart | AudioUrlPart | AudioPart,
    Field(discriminator="type"),
]
InstructionsPart = Annotated[InputText | InputJson, Field(discriminator="type")]


def _content_tag(content: object) -> str:
    """Return the union branch of `content`, so that an error is reported once, not per branch."""
    return "parts" if isinstance(content, list) else "text"


InputContent = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[list[InputPart], Field(min_length=1, max_length=MAX_PARTS), Tag("parts")],
    Discriminator(_content_tag),
]
Instructions = Annotated[
    Annotated[Text, AfterValidator(_not_blank), Tag("text")]
    | Annotated[
        list[InstructionsPart],
        Field(min_length=1, max_length=MAX_PARTS),
        AfterValidator(_not_all_blank),
        Tag("parts"),
    ],
    Discriminator(_content_tag),
]


class InputMessage(RequestBody):
    """One message of the input; only a user's may have audio."""

    table: ClassVar[Table] = decision_parameters.INPUT_MESSAGE

    role: Literal["user", "developer", "system", "assistant"]
    content: InputContent
    type: Literal["message"] = "message"
    """Calls of tools and their results are not accepted: send them as text of a message."""


Input = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[list[InputMessage], Field(min_length=1, max_length=MAX_MESSAGES), Tag("parts")],
    Discriminator(_content_tag),
]


class _Question(RequestBody):
    table: ClassVar[Table] = decision_parameters.ASKED

    instructions: Instructions
    """What is asked, or the statement that is judged."""
    name: Name | None = None
    """Repeated in the answer."""


class PredicateQuestion(_Question):
    """How likely it is that a statement is true, or that the answer to a question is yes."""

    table: ClassVar[Table] = decision_parameters.QUESTION

    type: Literal["predicate"]


def _value_tag(value: object) -> str:
    """Return the union branch of `value`, so that an error is reported once."""
    return "flag" if isinstance(value, bool) else "text"


ChoiceValue = Annotated[
    Annotated[OptionText, Tag("text")] | Annotated[bool, Tag("flag")], Discriminator(_value_tag)
]


class ChoiceOption(RequestBody):
    """One of the values that a choice can have."""

    table: ClassVar[Table] = decision_parameters.CHOICE

    value: ChoiceValue
    """`true` and `"true"` are different values."""
    description: Description | None = None
    """What the value means, for the model."""


class Level(RequestBody):
    """One level of a scale."""

    table: ClassVar[Table] = decision_parameters.LEVEL

    label: OptionText
    description: Description | None = None
    """What the level means, for the model."""


class ChoiceQuestion(_Question):
    """Which of several values is right."""

    table: ClassVar[Table] = decision_parameters.CHOICE_QUESTION

    type: Literal["choice"]
    choices: Annotated[list[ChoiceOption], Field(min_length=MIN_OPTIONS, max_length=MAX_OPTIONS)]
    """From 2 to 255 different values."""

    @field_validator("choices")
    @classmethod
    def _differ(cls, choices: list[ChoiceOption]) -> list[ChoiceOption]:
        _check_unique([(type(each.value), each.value) for each in choices], "choices", "value")
        return choices


class ScoreQuestion(_Question):
    """Which level of a scale the input has; the score is the expected level, from 0 on."""

    table: ClassVar[Table] = decision_parameters.SCORE_QUESTION

    type: Literal["score"]
    levels: Annotated[list[Level], Field(min_length=MIN_OPTIONS, max_length=MAX_OPTIONS)]
    """From the lowest to the highest, from 2 to 255 different ones."""

    @field_validator("levels")
    @classmethod
    def _differ(cls, levels: list[Level]) -> list[Level]:
        _check_unique([each.label for each in levels], "levels", "label")
        return levels


def _check_unique(keys: Sequence[object], name: str, field: str) -> None:
    """Raise an error that names the first option which an earlier one equals."""
    places: dict[object, int] = {}
    for number, key in enumerate(keys):
        if (first := places.setdefault(key, number)) != number:
            raise ValueError(
                f"{name}[{number}] has the {field} of {name}[{first}]; each must be unique"
            )


Question = Annotated[
    PredicateQuestion | ChoiceQuestion | ScoreQuestion, Field(discriminator="type")
]
Questions = Annotated[list[Question], Field(min_length=1, max_length=MAX_QUESTIONS)]


class DecisionOptions(RequestBody):
    """How questions are decided: the fields beside them that are not OpenAI's."""

    table: ClassVar[Table] = decision_parameters.OPTIONS

    orders: Annotated[int, Field(ge=1, le=MAX_ORDERS), WHOLE_NUMBER] = 1
    """Ask each question with its options in so many orders, and average the probabilities."""
    temperature: Annotated[float, Field(gt=0, le=MAX_TEMPERATURE)] = 1.0
    """Divide the log-probabilities of the options by it: above 1 is less confident."""


class DecisionRequest(DecisionOptions, ClipOptions):
    """Request body of `POST /v1/decisions`."""

    table: ClassVar[Table] = decision_parameters.DECISIONS

    model: ModelId | None = None
    """Model id; default: the model that is served."""
    input: Input
    """What the questions are about: text, or messages with text and audio parts."""
    questions: Questions
    """From 1 to 400; the answers come in the same order."""


class PredicateAnswer(ResponseBody):
    """The answer to a predicate."""

    type: Literal["predicate"] = "predicate"
    name: str | None
    probability: float
    """Of yes."""


class ChoiceProbability(ResponseBody):
    """The probability of one of the choices."""

    value: str | bool
    probability: float


class ChoiceAnswer(ResponseBody):
    """The answer to a choice."""

    type: Literal["choice"] = "choice"
    name: str | None
    choice: str | bool
    """The likeliest; of equal ones the first."""
    confidence: float
    """Its probability, times that of an answer which begins like one of the choices at all."""
    probabilities: list[ChoiceProbability]
    """Of all choices, in their order; they add up to 1."""


class ScoreProbability(ResponseBody):
    """The probability of one level."""

    label: str
    value: int
    """The number of the level, from 0 on."""
    probability: float


class ScoreAnswer(ResponseBody):
    """The answer to a score."""

    type: Literal["score"] = "score"
    name: str | None
    score: float
    """The expected value: the values of the levels, weighted by their probabilities."""
    confidence: float
    """The largest probability, times that of an answer which begins like a level at all."""
    probabilities: list[ScoreProbability]
    """Of all levels, in their order; they add up to 1."""


Answer = PredicateAnswer | ChoiceAnswer | ScoreAnswer


class DecisionInputDetails(ResponseBody):
    """Tokens of the input by what the caches had."""

    cached_tokens: int
    """Those that were cached before the request."""
    cache_write_tokens: int
    """Those that the request computed, and that are cached now."""


class DecisionUsage(AudioUsage):
    """Tokens and audio that the decisions used."""

    input_tokens: int
    """The input once, and each question in each of its orders."""
    input_tokens_details: DecisionInputDetails
    output_tokens: int = 0
    """Always 0: no text is generated."""
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    total_tokens: int


class Decision(ResponseBody):
    """Response of `POST /v1/decisions`."""

    answers: list[Answer]
    """In the order of the questions."""
    model: str
    usage: DecisionUsage
