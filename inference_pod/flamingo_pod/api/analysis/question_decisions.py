"""Questions of an analysis that are answered with probabilities, as those of `/v1/decisions`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flamingo_common.errors import DeadlineExceeded, FlamingoError
from flamingo_common.wire.analysis import AnalyzeRequest, Question
from flamingo_common.wire.answers import Answer, AnswerError, AnswerUsage
from flamingo_common.wire.decisions import DecisionOptions
from flamingo_pod.api.decisions import decide
from flamingo_pod.api.decisions.decide import Decided, DecisionInput, PreparedDecisions
from flamingo_pod.api.request.clip_intake import PreparedClip
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text.prompt import Turn


@dataclass(frozen=True, slots=True)
class AskedDecisions:
    """All questions of a request with decisions, which are decided together."""

    questions: Sequence[Question]
    prepared: PreparedDecisions
    clip: PreparedClip


async def prepare(
    served: ServedModel, request: AnalyzeRequest, clip: PreparedClip, stats: RequestStats
) -> AskedDecisions | None:
    """Return the questions with decisions, tokenized but not started; None without any.

    Raises:
        BadRequest: as `decide.prepare`; it names the decision, as `questions[1].decisions[0]`.
    """
    asked = {at: each for at, each in enumerate(request.questions or ()) if each.decisions}
    if not asked:
        return None
    places = {
        f"questions[{at}].decisions[{number}]": decision
        for at, question in asked.items()
        for number, decision in enumerate(question.decisions or ())
    }
    options = {
        f"questions[{at}].decisions[{number}]": _options(question)
        for at, question in asked.items()
        for number in range(len(question.decisions or ()))
    }
    given = DecisionInput([Turn("user", "", has_audio=True)], clip, stats)
    prepared = await decide.prepare(served, given, places, options)
    return AskedDecisions(list(asked.values()), prepared, clip)


def _options(question: Question) -> DecisionOptions:
    """Return the options of a question's decisions, which are its own and not the request's."""
    return DecisionOptions(orders=question.orders or 1, temperature=question.temperature or 1.0)


async def answer(
    served: ServedModel, asked: AskedDecisions, *, is_all: bool
) -> Decided | FlamingoError:
    """Return the answers, or the error that these questions have in the place of answers.

    Raises:
        DeadlineExceeded: the deadline passed.
        FlamingoError: any, if the request has no other questions (`is_all`).
    """
    try:
        return await decide.answer(served, asked.prepared)
    except DeadlineExceeded:
        raise
    except FlamingoError as error:
        if is_all:
            raise
        return error


def answers(
    asked: AskedDecisions, outcome: Decided | FlamingoError
) -> Iterator[tuple[str, Answer]]:
    """Yield the name and the answer of each question.

    What all decisions share beside the clip counts in the usage of the first question, so that
    those of all questions add up.
    """
    if isinstance(outcome, FlamingoError):
        error = AnswerError(code=outcome.code, message=outcome.message)
        usage = AnswerUsage(prompt_tokens=0, completion_tokens=0)
        for question in asked.questions:
            yield question.name, Answer(content="", finish_reason=None, error=error, usage=usage)
        return
    begin, num_shared = 0, len(asked.prepared.prompts.head) - asked.clip.num_tokens
    for question in asked.questions:
        end = begin + len(question.decisions or ())
        num_tokens = num_shared + sum(outcome.num_tokens[begin:end])
        yield (
            question.name,
            Answer(
                content="",
                finish_reason=None,
                decisions=list(outcome.answers[begin:end]),
                usage=AnswerUsage(prompt_tokens=num_tokens, completion_tokens=0),
            ),
        )
        begin, num_shared = end, 0
