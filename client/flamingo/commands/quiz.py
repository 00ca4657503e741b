"""`flamingo bench quiz`: accuracy and calibration on multiple-choice questions about clips."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rich.table import Table

from flamingo.client import FlamingoClient, address
from flamingo.commands import many_clips, options, output, quiz_metrics
from flamingo.commands.command import Command
from flamingo.commands.quiz_metrics import Accuracy, Answered
from flamingo_common.errors import BadRequest, FlamingoError
from flamingo_common.wire import decisions
from flamingo_common.wire.decisions import ChoiceAnswer
from flamingo_common.wire.reasons import reason_of

QuizFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="Questions as JSON Lines.", dir_okay=False, exists=True),
]
Orders = Annotated[
    int,
    typer.Option(
        "--orders",
        min=1,
        max=decisions.MAX_ORDERS,
        help="Average over so many orders of the choices.",
    ),
]


class Line(BaseModel):
    """One question of a quiz."""

    model_config = ConfigDict(extra="ignore", strict=True)

    audio: Annotated[str, Field(min_length=1)]
    """A path, relative to the file, or a URL."""
    question: Annotated[str, Field(min_length=1)]
    choices: Annotated[
        list[str], Field(min_length=decisions.MIN_OPTIONS, max_length=decisions.MAX_OPTIONS)
    ]
    answer: str | int
    """The right choice, or its number from 0 on."""
    category: str = ""

    @model_validator(mode="after")
    def _has_right_choice(self) -> "Line":
        if isinstance(self.answer, str) and self.choices.count(self.answer) != 1:
            raise ValueError("answer must be one of the choices, and only once")
        if isinstance(self.answer, int) and not 0 <= self.answer < len(self.choices):
            raise ValueError("answer must be the number of a choice, from 0 on")
        return self

    @property
    def right(self) -> int:
        """The number of the right choice."""
        return self.answer if isinstance(self.answer, int) else self.choices.index(self.answer)

    def asked(self) -> dict[str, Any]:
        """Return the question of a request for decisions."""
        choices = [{"value": each} for each in self.choices]
        return {"type": "choice", "instructions": self.question, "choices": choices}


@dataclass(frozen=True)
class Report:
    """What a quiz showed."""

    answers: list[Answered]
    num_failed: int

    def to_json(self) -> dict[str, Any]:
        """Return all figures."""
        return {
            "accuracy": _figures(quiz_metrics.accuracy(self.answers)),
            "categories": {
                name: _figures(each)
                for name, each in quiz_metrics.by_category(self.answers).items()
            },
            "expected_calibration_error": quiz_metrics.expected_calibration_error(self.answers),
            "brier_score": quiz_metrics.brier_score(self.answers),
            "reliability": [asdict(each) for each in quiz_metrics.reliability(self.answers)],
            "num_failed": self.num_failed,
        }


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("quiz", cls=Command)
def quiz(
    file: QuizFile,
    *,
    orders: Orders = 1,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """Ask multiple-choice questions about clips, and compare with the right answers.

    Each line of FILE has audio, question, choices, answer (a choice, or its
    number from 0 on) and perhaps a category. Printed are the accuracy with
    its 95 % interval, and how well the probabilities are calibrated.
    """
    lines = list(_lines(file))
    if not lines:
        raise BadRequest(f"{file} has no questions", param="file")
    with FlamingoClient(url, api_key=api_key) as client:
        report = _ask_all(client, file.parent, lines, orders)
    if report.answers:
        if as_json:
            output.print_json_value(report.to_json())
        else:
            for table in _tables(report):
                output.print_table(table)
    many_clips.exit_if_failed(report.num_failed)


def _lines(file: Path) -> Iterator[Line]:
    with file.open(encoding="utf-8") as source:
        for number, text in enumerate(source, 1):
            if text.strip():
                yield _line(text, f"{file}:{number}")


def _line(text: str, place: str) -> Line:
    try:
        return Line.model_validate(json.loads(text))
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(map(str, detail["loc"]))
        reason = f"{field}: {reason_of(detail, Line)}" if field else reason_of(detail, Line)
    except ValueError:
        reason = "is not JSON"
    raise BadRequest(f"{place}: {reason}", param="file")


def _ask_all(client: FlamingoClient, folder: Path, lines: list[Line], orders: int) -> Report:
    answers: list[Answered] = []
    num_failed = 0
    many_clips.check_fleet(client)
    for number, line in enumerate(lines, 1):
        audio = line.audio if "://" in line.audio else str(folder / line.audio)
        try:
            with output.spinner(f"question {number} of {len(lines)}"):
                decision = client.decisions(audio, [line.asked()], orders=orders)
        except FlamingoError as error:
            many_clips.print_failure(line.audio, error, as_json=False)
            num_failed += 1
            continue
        answer = decision.answers[0]
        assert isinstance(answer, ChoiceAnswer)  # as it was asked
        found = [each.probability for each in answer.probabilities]
        answers.append(Answered(found, line.right, line.category))
    return Report(answers, num_failed)


def _figures(accuracy: Accuracy) -> dict[str, Any]:
    low, high = accuracy.interval
    return {"num": accuracy.num, "share": accuracy.share, "low": low, "high": high}


def _tables(report: Report) -> Iterator[Table]:
    categories = quiz_metrics.by_category(report.answers)
    rows = {"all": quiz_metrics.accuracy(report.answers)}
    table = Table("category", "questions", "accuracy", "95 % interval", box=None, pad_edge=False)
    for name, each in (rows | (categories if len(categories) > 1 else {})).items():
        low, high = each.interval
        cells = (str(each.num), f"{each.share:.3f}", f"{low:.3f} to {high:.3f}")
        table.add_row(output.cell(name or "none"), *cells)
    yield table
    table = Table("probability", "answers", "mean", "right", box=None, pad_edge=False)
    for one in quiz_metrics.reliability(report.answers):
        start = f"from {one.start:.1f}"
        table.add_row(start, str(one.num), f"{one.mean_probability:.3f}", f"{one.share_right:.3f}")
    yield table
    error = quiz_metrics.expected_calibration_error(report.answers)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("expected calibration error", f"{error:.3f}")
    table.add_row("Brier score", f"{quiz_metrics.brier_score(report.answers):.3f}")
    yield table
