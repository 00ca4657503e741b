"""The text of a question of `/v1/decisions`, in each of the orders of its options.

Which of several options a model prefers depends on where they stand in the question; averaged over
the orders, that cancels out (Zheng et al. 2024, "Large Language Models Are Not Robust Multiple
Choice Selectors", cyclic permutations). A scale is only reversed, so that it stays one.

Pure.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flamingo_common.wire.decisions import (
    ChoiceOption,
    ChoiceQuestion,
    InputJson,
    InputText,
    PredicateQuestion,
    Question,
    ScoreQuestion,
)

YES_OR_NO = ("Yes", "No")
"""The options of a predicate."""
CHOOSE = ("Choose one of these:", "Answer with one of them and nothing else.")
RATE = ("Choose a level of this scale:", "Answer with one level and nothing else.")
"""What is before and behind the options."""


@dataclass(frozen=True, slots=True)
class QuestionText:
    """A question as the model reads it, and the texts that are answers to it."""

    texts: Sequence[str]
    """One for each order."""
    options: Sequence[str]
    """In the order of the request; without blanks around them, and different."""

    @property
    def num_chars(self) -> int:
        """Characters of all orders."""
        return sum(map(len, self.texts))


@dataclass(frozen=True, slots=True)
class _Option:
    text: str
    description: str | None = None

    @property
    def line(self) -> str:
        return f"- {self.text}: {self.description}" if self.description else f"- {self.text}"


def question_text(question: Question, num_orders: int = 1) -> QuestionText:
    """Return a question in at most `num_orders` orders of its options: as many as it has."""
    instructions = instructions_text(question.instructions)
    match question:
        case PredicateQuestion():
            answers = [YES_OR_NO, YES_OR_NO[::-1]][:num_orders]
            return QuestionText([_predicate(instructions, *each) for each in answers], YES_OR_NO)
        case ChoiceQuestion():
            options, ask = _choices(question), CHOOSE
            orders = _rotations(options, num_orders)
        case ScoreQuestion():
            options, ask = _levels(question), RATE
            orders = [options, options[::-1]][:num_orders]
    texts = ["\n".join([instructions, ask[0], *_lines(order), ask[1]]) for order in orders]
    return QuestionText(texts, [option.text for option in options])


def given_texts(question: Question) -> Iterator[tuple[str, str]]:
    """Yield the texts of a question that its request gave, each with its field in the question."""
    yield ".instructions", instructions_text(question.instructions)
    options: Sequence[_Option] = ()
    if isinstance(question, ChoiceQuestion):
        options = _choices(question)
    elif isinstance(question, ScoreQuestion):
        options = _levels(question)
    for number, option in enumerate(options):
        field = option_field(question, number)
        yield field, option.text
        yield f"{field.rpartition('.')[0]}.description", option.description or ""


def option_field(question: Question, number: int) -> str:
    """Return the field of an option in its question; empty for those of a predicate."""
    match question:
        case ChoiceQuestion():
            return f".choices[{number}].value"
        case ScoreQuestion():
            return f".levels[{number}].label"
        case _:
            return ""


def instructions_text(instructions: str | Sequence[InputText | InputJson]) -> str:
    """Return instructions in parts as one text."""
    if isinstance(instructions, str):
        return instructions.strip()
    return "\n".join(_part_text(part) for part in instructions).strip()


def json_text(part: InputJson) -> str:
    """Return JSON as the model reads it."""
    return _json(part.data)


def _part_text(part: InputText | InputJson) -> str:
    return json_text(part) if isinstance(part, InputJson) else part.text


def _lines(options: Sequence[_Option]) -> list[str]:
    return [option.line for option in options]


def _predicate(instructions: str, first: str, second: str) -> str:
    ask = "" if instructions.endswith("?") else "Is this true? "
    return f"{instructions}\n{ask}Answer {first} or {second}."


def _choices(question: ChoiceQuestion) -> list[_Option]:
    """Return the options; in JSON, which distinguishes all, where their texts would not differ."""
    plain = [_plain(choice) for choice in question.choices]
    is_clear = len(set(plain)) == len(plain)
    texts = plain if is_clear else [_json(each.value) for each in question.choices]
    return [
        _Option(text, choice.description)
        for text, choice in zip(texts, question.choices, strict=True)
    ]


def _levels(question: ScoreQuestion) -> list[_Option]:
    return [_Option(each.label.strip(), each.description) for each in question.levels]


def _plain(choice: ChoiceOption) -> str:
    value = choice.value
    return value.strip() if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _rotations(options: list[_Option], num_orders: int) -> list[list[_Option]]:
    """Return the options from evenly spaced ones on, the first order being that of the request."""
    num = min(num_orders, len(options))
    starts = [number * len(options) // num for number in range(num)]
    return [options[start:] + options[:start] for start in starts]
