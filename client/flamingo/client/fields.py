"""The request parameters that callers pass as keyword arguments.

A parameter that is omitted, or None, is not sent, and the server's default applies. The
server validates the values and reports every invalid one in a single error.

Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from flamingo_common.errors import BadRequest
from flamingo_common.wire.requests import Layer, Pooling

RequestFields = Mapping[str, Any]
Messages = Sequence[Mapping[str, Any]]


class ClipOptions(TypedDict, total=False):
    """How a clip is processed, for all requests."""

    model: str | None
    """Fail unless this model is served."""
    start: float | None
    """Use the part of the clip that begins here, in seconds; times in answers stay the clip's."""
    end: float | None
    """Where that part ends, in seconds."""
    truncate: bool | None
    """Process the beginning of a clip that is too long, instead of failing."""
    allow_damaged: bool | None
    """Process a damaged clip whatever is missing (True), or only if nothing is (False). What is
    missing is in `usage.audio_missing_seconds`."""


class SamplingOptions(ClipOptions, total=False):
    """How tokens are sampled, for captions, chats and analyses.

    Ranges are those of the HTTP API. An option that is not set has the checkpoint's default.
    """

    max_tokens: int | None
    """Stop after this many tokens; `finish_reason` is then `length`."""
    temperature: float | None
    """0 to 2; 0 is greedy."""
    top_p: float | None
    """0 to 1; 0 is greedy."""
    top_k: int | None
    """From 1; 0 and -1 are off."""
    min_p: float | None
    repetition_penalty: float | None
    """Above 0, up to 10; 1 is off. Applies to the prompt and the output."""
    frequency_penalty: float | None
    """-2 to 2; applies for each time that a token has been generated."""
    presence_penalty: float | None
    """-2 to 2; applies once to a token that has been generated."""
    logit_bias: Mapping[str, float] | None
    """A bias of -100 to 100 for each token id; up to 300 entries."""
    response_format: Mapping[str, Any] | None
    """OpenAI's: text, any JSON object, or a JSON schema, which is enforced."""
    structured_outputs: Mapping[str, Any] | None
    """vLLM's: JSON of a schema, a regular expression, a choice or a grammar, which is enforced."""
    seed: int | None
    """Makes sampling reproducible; -1 is none."""
    stop: str | list[str] | None
    """Up to 4 strings before which the text ends."""
    stop_token_ids: list[int] | None
    """Token ids before which the text ends."""
    min_tokens: int | None
    """Do not stop before this many tokens."""
    thinking_token_budget: int | None
    """Of a model that thinks before it answers: it is made to answer after so many tokens of
    reasoning; 0 means none, -1 without a maximum."""


class AnalysisOptions(SamplingOptions, total=False):
    """How tokens are sampled, and what an embedding has, for analyses."""

    layer: Layer | None
    """As for `embed`."""
    pooling: Pooling | None
    """As for `embed`."""
    confidence: bool | None
    """Whether answers in a format have the model's confidence in each of their values."""
    measure: bool | None
    """Whether tempo, beats, key and loudness are measured, too, and compared with answers."""


def without_unset(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


Question = str | Mapping[str, Any]
"""A prompt, or the fields of a question: `prompt`, `style` or `recipe`, and options."""
Questions = Mapping[str, Question] | Sequence[Mapping[str, Any]]
"""By name, or each with its `name`."""


def all_questions(
    questions: Questions | None, recipes: Sequence[str] | None
) -> list[dict[str, Any]] | None:
    """Return the questions of a request, recipes last; None if there are none.

    A recipe's answer has the recipe's name.

    Raises:
        BadRequest: they are empty, or one is neither a prompt with a name nor a mapping.
    """
    if questions is None and recipes is None:
        return None
    if isinstance(questions, Mapping):
        asked = [{"name": name, **_question(each, name)} for name, each in questions.items()]
    else:
        asked = [_named(each, number) for number, each in enumerate(questions or ())]
    asked += ({"name": name, "recipe": name} for name in recipes or ())
    if not asked:
        raise BadRequest(
            "there are no questions; leave questions out to caption", param="questions"
        )
    return asked


def _question(question: Question, name: str) -> Mapping[str, Any]:
    if isinstance(question, str):
        return {"prompt": question}
    if not isinstance(question, Mapping):
        raise BadRequest(
            f"the question {name!r} must be a prompt or a mapping, not {type(question).__name__}",
            param="questions",
        )
    return question


def _named(question: Mapping[str, Any], number: int) -> dict[str, Any]:
    if not isinstance(question, Mapping):
        raise BadRequest(
            f"a question in a list must be a mapping with a name, not {type(question).__name__};"
            ' give prompts by name: {"mood": "What is the mood?"}',
            param=f"questions[{number}]",
        )
    return dict(question)


def question_messages(question: str, *, system: str | None) -> list[dict[str, str]]:
    """Return a conversation of one user message, after the system message if there is one."""
    messages = [{"role": "user", "content": question}]
    return [{"role": "system", "content": system}, *messages] if system is not None else messages
