"""The prompts of a request's questions: tokens, trees of options, and how much may be asked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flamingo_common.errors import BadRequest, ContextTooLong
from flamingo_common.wire import decisions
from flamingo_common.wire.decisions import Question
from flamingo_pod.model.checkpoint import Checkpoint
from flamingo_pod.text import question_prompt
from flamingo_pod.text.option_tree import OptionTree
from flamingo_pod.text.prompt import TokenIds, Turn
from flamingo_pod.text.question_prompt import Field, QuestionPrompt
from flamingo_pod.text.question_text import (
    QuestionText,
    given_texts,
    option_field,
    question_text,
)

MAX_BRANCHES = 20_000
"""Of all questions in all orders; each is a prompt of the engine."""


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """One question in one order of its options."""

    number: int
    """The question's."""
    tail: TokenIds
    """The tokens behind the head that all prompts share."""
    tree: OptionTree


@dataclass(frozen=True, slots=True)
class Prompts:
    """All prompts of a request: the head that they share, and what follows."""

    head: TokenIds
    asked: Sequence[AskedQuestion]
    """The orders of a question follow each other."""

    @property
    def num_tokens(self) -> int:
        """Tokens of the head, and of all that follow it."""
        return len(self.head) + sum(len(each.tail) for each in self.asked)

    @property
    def num_question_tokens(self) -> Sequence[int]:
        """Tokens of each question in all its orders, without the head."""
        counts = Counter[int]()
        for each in self.asked:
            counts[each.number] += len(each.tail)
        return [counts[number] for number in sorted(counts)]

    @property
    def num_branches(self) -> int:
        """How often the model decides between options."""
        return sum(len(each.tree.branches) for each in self.asked)


def create(
    checkpoint: Checkpoint,
    turns: Sequence[Turn],
    num_audio_tokens: int,
    questions: Mapping[str, Question],
    num_orders: Mapping[str, int],
) -> Prompts:
    """Return the prompts of questions, which are given by their places, as are their orders.

    Raises:
        BadRequest: a text contains a control token, two options read the same, or too much is
            asked.
        ContextTooLong: a question does not fit into the model's context.
    """
    texts = {place: question_text(each, num_orders[place]) for place, each in questions.items()}
    _check_chars(texts)
    _check_control(checkpoint, questions)
    prompt = QuestionPrompt.of(checkpoint.processor, turns, num_audio_tokens)
    fields = [Field(text, place) for place, each in texts.items() for text in each.texts]
    tails = iter(prompt.tails(fields))
    trees = _trees(checkpoint, questions, texts)
    asked = [
        AskedQuestion(number, next(tails), trees[place])
        for number, (place, each) in enumerate(texts.items())
        for _ in each.texts
    ]
    prompts = Prompts(prompt.head, asked)
    _check_branches(prompts, next(iter(questions)))
    _check_context(checkpoint, prompts, list(questions))
    return prompts


def _trees(
    checkpoint: Checkpoint, questions: Mapping[str, Question], texts: Mapping[str, QuestionText]
) -> dict[str, OptionTree]:
    """Return the options' tree of each question; questions with equal options have the same."""
    end_id = _end_id(checkpoint)
    known: dict[Sequence[str], OptionTree] = {}
    trees: dict[str, OptionTree] = {}
    for place, question in questions.items():
        options = tuple(texts[place].options)
        if options not in known:
            fields = [
                Field(text, place + option_field(question, number))
                for number, text in enumerate(options)
            ]
            tokens = question_prompt.answer_tokens(checkpoint.processor, fields)
            known[options] = OptionTree.of(tokens, end_id)
        trees[place] = known[options]
    return trees


def _end_id(checkpoint: Checkpoint) -> int:
    """Return the token that ends an answer in the chat template."""
    ends, usual = checkpoint.limits.eos_token_ids, checkpoint.processor.tokenizer.eos_token_id
    return int(usual) if usual in ends or not ends else min(ends)


def _check_chars(texts: Mapping[str, QuestionText]) -> None:
    num_chars = sum(each.num_chars for each in texts.values())
    if num_chars > decisions.MAX_QUESTIONS_CHARS:
        raise BadRequest(
            f"the questions have {num_chars} characters with their options, in all orders; at most"
            f" {decisions.MAX_QUESTIONS_CHARS} are accepted: ask them in several requests",
            param=_list_of(next(iter(texts))),
        )


def _check_control(checkpoint: Checkpoint, questions: Mapping[str, Question]) -> None:
    texts = (
        Field(text, place + name)
        for place, question in questions.items()
        for name, text in given_texts(question)
    )
    question_prompt.reject_control(checkpoint.processor, texts)


def _check_branches(prompts: Prompts, first_place: str) -> None:
    if prompts.num_branches > MAX_BRANCHES:
        raise BadRequest(
            f"the options of the questions differ at {prompts.num_branches} places, in all orders;"
            f" at most {MAX_BRANCHES} are accepted: ask them in several requests",
            param=_list_of(first_place),
        )


def _check_context(checkpoint: Checkpoint, prompts: Prompts, places: Sequence[str]) -> None:
    room = checkpoint.limits.context_tokens
    for each in prompts.asked:
        needed = len(prompts.head) + len(each.tail) + each.tree.depth + 1
        if needed > room:
            raise ContextTooLong(
                f"This model's maximum context length is {room} tokens; the input and this"
                f" question have {needed}, so the prompt is too long; shorten it or the clip",
                param=places[each.number],
            )


def _list_of(place: str) -> str:
    """Return the field of all questions from the place of one: `questions` of `questions[3]`."""
    return place.rpartition("[")[0] or place
