"""The lines of a quiz: a question with choices about a clip, or a taxonomy and its labels."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flamingo.client import taxonomies
from flamingo.client.taxonomies import Taxonomy
from flamingo.commands.quizzes.quiz_metrics import Answered
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable
from flamingo_common.wire import decisions
from flamingo_common.wire.decisions import ChoiceAnswer, PredicateAnswer
from flamingo_common.wire.reasons import reason_of


class Line(BaseModel):
    """One line of a quiz: with `question` and `choices`, or with a `taxonomy`."""

    model_config = ConfigDict(extra="ignore", strict=True)

    audio: Annotated[str, Field(min_length=1)]
    """A path, relative to the file, or a URL."""
    question: Annotated[str, Field(min_length=1)] | None = None
    choices: (
        Annotated[
            list[str], Field(min_length=decisions.MIN_OPTIONS, max_length=decisions.MAX_OPTIONS)
        ]
        | None
    ) = None
    taxonomy: Annotated[str, Field(min_length=1)] | None = None
    """The name of a ready one, or a YAML file."""
    answer: str | int | list[str]
    """The right choice or label, or the number of a choice from 0 on; the right labels, if the
    taxonomy has any number of them."""
    category: str = ""

    @model_validator(mode="after")
    def _asks_one_thing(self) -> "Line":
        own = self.question is not None and self.choices is not None
        if own == (self.taxonomy is not None):
            raise ValueError("needs question and choices, or else a taxonomy")
        return self


class QuizItem:
    """What is asked about one clip, and which answers are right."""

    def __init__(self, line: Line, folder: Path, loaded: dict[str, Taxonomy]) -> None:
        """Take a line of a file in `folder`; `loaded` keeps the taxonomies of its lines.

        Raises:
            BadRequest: a taxonomy cannot be loaded.
            ValueError: the right answer is not one of the choices.
        """
        self._name = line.audio
        self.clip = line.audio if "://" in line.audio else str(folder / line.audio)
        self._taxonomy = None if line.taxonomy is None else _loaded(line.taxonomy, loaded)
        self._category = line.category or (self._taxonomy.name if self._taxonomy else "")
        self._choices = line.choices or [one.label for one in self._labels]
        self._question = line.question
        self._right = _right_choices(line.answer, self._choices, is_many=self._is_many)

    @property
    def _labels(self) -> Sequence[taxonomies.Label]:
        return () if self._taxonomy is None else self._taxonomy.labels

    @property
    def _is_many(self) -> bool:
        return self._taxonomy is not None and self._taxonomy.kind == "many"

    def questions(self) -> list[dict[str, Any]]:
        """Return the questions of a request for decisions."""
        if self._taxonomy is not None:
            return self._taxonomy.questions()
        choices = [{"value": each} for each in self._choices]
        return [{"type": "choice", "instructions": self._question, "choices": choices}]

    def answered(self, answers: Sequence[decisions.Answer]) -> Iterator[Answered]:
        """Yield the probabilities of the choices, or of yes and no for each label."""
        for number, answer in enumerate(answers):
            if isinstance(answer, ChoiceAnswer):
                found = [each.probability for each in answer.probabilities]
                (right,) = self._right
                yield Answered(found, right, self._category, self._name)
            elif isinstance(answer, PredicateAnswer):
                found = [answer.probability, 1 - answer.probability]
                yield Answered(found, int(number not in self._right), self._category, self._name)


def _loaded(name: str, loaded: dict[str, Taxonomy]) -> Taxonomy:
    if name not in loaded:
        loaded[name] = taxonomies.load(name)
    return loaded[name]


def _right_choices(
    answer: str | int | list[str], choices: Sequence[str], *, is_many: bool
) -> frozenset[int]:
    """Return the numbers of the right choices.

    Raises:
        ValueError: it does not say which they are.
    """
    if is_many:
        if not isinstance(answer, list) or not set(answer) <= set(choices):
            raise ValueError("answer must be a list of labels of the taxonomy")
        return frozenset(choices.index(each) for each in answer)
    if isinstance(answer, int):
        if not 0 <= answer < len(choices):
            raise ValueError("answer must be the number of a choice, from 0 on")
        return frozenset({answer})
    if not isinstance(answer, str) or choices.count(answer) != 1:
        raise ValueError("answer must be one of the choices, and only once")
    return frozenset({choices.index(answer)})


def read(file: Path) -> list[QuizItem]:
    """Return the items of a file.

    Raises:
        BadRequest: the file has none, or a line is not valid; the message has its number.
    """
    loaded: dict[str, Taxonomy] = {}
    shown = printable.escape_line(str(file))
    with file.open(encoding="utf-8-sig", errors="replace") as source:
        items = [
            _item(text, f"{shown}:{number}", file.parent, loaded)
            for number, text in enumerate(source, 1)
            if text.strip()
        ]
    if not items:
        raise BadRequest(f"{shown} has no questions", param="file")
    return items


def _item(text: str, place: str, folder: Path, loaded: dict[str, Taxonomy]) -> QuizItem:
    try:
        return QuizItem(Line.model_validate(json.loads(text)), folder, loaded)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(map(str, detail["loc"][:1]))
        reason = f"{field}: {reason_of(detail, Line)}" if field else reason_of(detail, Line)
    except json.JSONDecodeError:
        reason = "is not JSON"
    except ValueError as error:
        reason = str(error)
    except BadRequest as error:
        reason = error.message
    raise BadRequest(f"{place}: {reason}", param="file")
