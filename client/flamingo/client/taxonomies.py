"""Taxonomies: lists of labels, which become the questions of decisions, and the answers as tags.

A taxonomy of the kind `many` asks for each label by itself (`{label}` in its question), since a
clip may have several; one of the kind `one` asks which of its labels is right. Ready ones are in
the folder `taxonomies` of the package; files of users have the same format.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from flamingo.client import yaml_files
from flamingo_common.errors import BadRequest
from flamingo_common.wire import decisions
from flamingo_common.wire.decision_temperature import tempered
from flamingo_common.wire.decisions import Decision
from flamingo_common.wire.reasons import reason_of

FOLDER = Path(__file__).parents[1] / "taxonomies"
SUFFIX = ".yaml"
PLACE = "{label}"
Text = Annotated[str, Field(min_length=1, max_length=decisions.MAX_DESCRIPTION_CHARS)]


class Label(BaseModel):
    """A label, and what it means for the model."""

    model_config = ConfigDict(extra="forbid", strict=True)

    label: Annotated[str, Field(min_length=1, max_length=decisions.MAX_OPTION_CHARS)]
    description: Text | None = None


class Taxonomy(BaseModel):
    """A list of labels, with the question that asks for them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=decisions.MAX_NAME_CHARS)]
    kind: Literal["one", "many"]
    """`one`: the labels exclude each other. `many`: a clip may have several, or none."""
    question: Text
    """With `{label}` in the place of each label, if the kind is `many`."""
    labels: Annotated[list[Label], Field(min_length=1, max_length=decisions.MAX_QUESTIONS)]

    @field_validator("labels", mode="before")
    @classmethod
    def _with_descriptions(cls, labels: object) -> object:
        if not isinstance(labels, list):
            return labels
        return [{"label": each} if isinstance(each, str) else each for each in labels]

    @field_validator("labels")
    @classmethod
    def _differ(cls, labels: list[Label]) -> list[Label]:
        texts = [each.label.strip() for each in labels]
        for number, text in enumerate(texts):
            if not text:
                raise ValueError(f"number {number} is blank")
            if text in texts[:number]:
                raise ValueError(f"{text!r} is there twice")
        return labels

    @model_validator(mode="after")
    def _can_be_asked(self) -> "Taxonomy":
        least, most = decisions.MIN_OPTIONS, decisions.MAX_OPTIONS
        if self.kind == "one" and not least <= len(self.labels) <= most:
            raise ValueError(f"a taxonomy of the kind one has {least} to {most} labels")
        if self.kind == "many" and PLACE not in self.question:
            raise ValueError(f"the question of the kind many needs {PLACE}")
        return self

    def questions(self) -> list[dict[str, Any]]:
        """Return the questions of a request for decisions."""
        if self.kind == "one":
            choices = [
                {"value": each.label}
                | ({"description": each.description} if each.description else {})
                for each in self.labels
            ]
            question = {"type": "choice", "name": self.name, "instructions": self.question}
            return [{**question, "choices": choices}]
        return [
            {"type": "predicate", "name": self.name, "instructions": self._statement(each)}
            for each in self.labels
        ]

    def _statement(self, label: Label) -> str:
        text = self.question.replace(PLACE, label.label)
        return f"{text} ({label.description})" if label.description else text


@dataclass(frozen=True)
class TagQuestions:
    """What is asked for the tags of some taxonomies, and how the answers are read."""

    taxonomies: Sequence[Taxonomy]
    orders: int | None = None
    temperatures: Mapping[str, float] = field(default_factory=dict)
    """By the name of the taxonomy; 1 for others."""

    def questions(self) -> list[dict[str, Any]]:
        """Return the questions of a request for decisions."""
        return [question for each in self.taxonomies for question in each.questions()]

    def tags(self, decision: Decision) -> "Tags":
        """Return the tags from the answers to `questions`."""
        return tags_of(self.taxonomies, decision, self.temperatures)


@dataclass(frozen=True)
class Tag:
    """A label, and the probability that it is right."""

    label: str
    probability: float


@dataclass(frozen=True)
class Tags:
    """The tags of a clip by taxonomy, in the order of the labels."""

    tags: Mapping[str, Sequence[Tag]]
    model: str
    usage: decisions.DecisionUsage

    def likely(self, taxonomy: str, *, at_least: float = 0.5) -> list[Tag]:
        """Return the tags of one taxonomy with at least this probability, the likeliest first."""
        found = [tag for tag in self.tags[taxonomy] if tag.probability >= at_least]
        return sorted(found, key=lambda tag: -tag.probability)


def ready_names() -> list[str]:
    """Return the names of the taxonomies that come with the package."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def load(name_or_path: str | Path) -> Taxonomy:
    """Return a taxonomy by the name of a ready one, or from a YAML file.

    Raises:
        BadRequest: there is none, or the file is not a taxonomy; the message says where and why.
    """
    is_ready = isinstance(name_or_path, str) and name_or_path in ready_names()
    path = FOLDER / f"{name_or_path}{SUFFIX}" if is_ready else Path(name_or_path)
    try:
        document = yaml_files.read(path, what="taxonomy")
    except BadRequest as error:
        if path.exists():
            raise
        ready = ", ".join(ready_names())
        raise BadRequest(f"{error}; ready ones are {ready}", param="taxonomy") from None
    return parse(document, name=str(path))


def parse(document: object, *, name: str) -> Taxonomy:
    """Return a taxonomy from what is in a file with this name.

    Raises:
        BadRequest: it is none.
    """
    try:
        return Taxonomy.model_validate(document)
    except ValidationError as error:
        found = list(faults(error, Taxonomy))
        raise BadRequest(f"{name}: {'; '.join(found)}", param="taxonomy") from None


def check_names(taxonomies: Sequence[Taxonomy]) -> None:
    """Check that taxonomies that are asked together have different names.

    Raises:
        BadRequest: two have the same.
    """
    names = [each.name for each in taxonomies]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise BadRequest(f"two taxonomies have the name {name!r}", param="taxonomy")


def check_temperatures(temperatures: Mapping[str, float]) -> None:
    """Check that every temperature is a number above 0, and not above 100.

    Raises:
        BadRequest: one is not; the message has the name of its taxonomy.
    """
    for name, value in temperatures.items():
        if not 0 < value <= decisions.MAX_TEMPERATURE:
            most = f"{decisions.MAX_TEMPERATURE:g}"
            raise BadRequest(
                f"temperatures[{name!r}]: must be a number above 0, up to {most}",
                param="temperatures",
            )


def tags_of(
    taxonomies: Sequence[Taxonomy], decision: Decision, temperatures: Mapping[str, float]
) -> Tags:
    """Return the tags from the answers to the questions of some taxonomies, in their order."""
    answers = iter(decision.answers)
    tags = {
        each.name: _tags(each, answers, temperatures.get(each.name, 1.0)) for each in taxonomies
    }
    return Tags(tags, decision.model, decision.usage)


def _tags(taxonomy: Taxonomy, answers: Iterator[decisions.Answer], temperature: float) -> list[Tag]:
    if taxonomy.kind == "one":
        answer = next(answers)
        assert isinstance(answer, decisions.ChoiceAnswer)  # as it was asked
        found = tempered([each.probability for each in answer.probabilities], temperature)
    else:
        yes = [next(answers) for _ in taxonomy.labels]
        found = [
            tempered([each.probability, 1 - each.probability], temperature)[0]
            for each in yes
            if isinstance(each, decisions.PredicateAnswer)
        ]
    labels = [label.label for label in taxonomy.labels]
    return [Tag(*each) for each in zip(labels, found, strict=True)]


def faults(error: ValidationError, kind: type[BaseModel]) -> Iterator[str]:
    """Yield each fault of a file that should be a `kind`, with its place."""
    for detail in error.errors(include_url=False):
        place = "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}" for step in detail["loc"]
        ).lstrip(".")
        reason = "is unknown" if detail["type"] == "extra_forbidden" else reason_of(detail, kind)
        yield f"{place}: {reason}" if place else reason
