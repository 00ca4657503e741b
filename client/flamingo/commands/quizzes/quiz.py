"""`flamingo bench quiz`: accuracy and calibration on multiple-choice questions about clips."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from flamingo.client import Calibration, FlamingoClient, address, calibrations
from flamingo.commands import options
from flamingo.commands.command import Command
from flamingo.commands.display import output
from flamingo.commands.files import files, many_clips
from flamingo.commands.quizzes import quiz_lines, quiz_metrics, temperature_fit
from flamingo.commands.quizzes.quiz_lines import QuizItem
from flamingo.commands.quizzes.quiz_metrics import Accuracy, Answered
from flamingo.commands.quizzes.temperature_fit import Fit
from flamingo_common.errors import BadRequest, FlamingoError
from flamingo_common.wire import decisions
from flamingo_common.wire.responses import ModelCard

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


FitTemperature = Annotated[
    bool,
    typer.Option(
        "--fit-temperature", help="Find the temperature at which the probabilities come true."
    ),
]
CalibrationOut = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="OUT.json",
        help="Fit the temperature, and save it for flamingo tag.",
        dir_okay=False,
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Report:
    """What a quiz showed."""

    answers: list[Answered]
    num_failed: int
    model: str
    fit: Fit | None = None

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
            **({} if self.fit is None else {"temperature_fit": asdict(self.fit)}),
        }


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("quiz", cls=Command)
def quiz(  # noqa: PLR0913 - a command's parameters are its options
    file: QuizFile,
    *,
    orders: Orders = 1,
    fit_temperature: FitTemperature = False,
    calibration: CalibrationOut = None,
    concurrency: options.Concurrency = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """Ask multiple-choice questions about clips, and compare with the right answers.

    Each line of FILE has audio, question, choices, answer (a choice, or its
    number from 0 on) and perhaps a category; or a taxonomy, and as the answer
    the label or the list of labels that are right. Printed are the accuracy
    with its 95 % interval, and how well the probabilities are calibrated.

    --fit-temperature finds the temperature at which they come true most, for
    all questions and for each category with at least 100 answers, and judges
    it by cross-validation. --calibration saves it for flamingo tag.
    """
    items = quiz_lines.read(file)
    if calibration is not None:
        files.check_directory(calibration, flag="--calibration")
    with FlamingoClient(url, api_key=api_key) as client:
        num_at_once = concurrency or many_clips.MAX_CONCURRENCY
        report = _ask_all(client, items, orders, num_at_once)
        problem = None
        if (fit_temperature or calibration is not None) and report.answers:
            try:
                report = replace(report, fit=temperature_fit.fit(report.answers))
            except BadRequest as error:
                problem = error  # what the answers show is printed first
        if report.answers:
            _print(report, as_json=as_json)
        if problem is not None:
            raise problem
        if calibration is not None and report.fit is not None:
            _save(calibration, _calibration(report.fit, client.models(), report.model, orders))
    many_clips.exit_if_failed(report.num_failed)


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        output.print_json_value(report.to_json())
        return
    for table in _tables(report):
        output.print_table(table)


def _ask_all(
    client: FlamingoClient, items: list[QuizItem], orders: int, concurrency: int
) -> Report:
    """Ask several questions at once; the answers are in the order of the items."""
    answers: list[Answered] = []
    num_failed, model = 0, ""
    many_clips.check_fleet(client)
    clips = [item.clip for item in items]
    asked = [{"questions": item.questions()} for item in items]
    batch = client.batch_decisions(
        many_clips.Arguments(clips, asked),
        orders=orders,
        concurrency=concurrency,
        **many_clips.RUN_OPTIONS,
    )
    found = many_clips.results(batch, clips, title="quiz")
    with contextlib.closing(found):
        for item, (clip, result) in zip(items, found, strict=True):
            if isinstance(result, FlamingoError):
                many_clips.print_failure(clip, result, as_json=False)
                num_failed += 1
                continue
            model = result.model
            answers += item.answered(result.answers)
    return Report(answers, num_failed, model)


def _calibration(fit: Fit, cards: list[ModelCard], model: str, orders: int) -> Calibration:
    commits = {card.id: card.commit for card in cards}
    return Calibration(
        version=1,
        model=model,
        commit=commits.get(model),
        orders=orders,
        num_examples=fit.num_examples,
        num_clips=fit.num_clips,
        temperature=round(fit.temperature, 4),
        temperatures={name: round(one, 4) for name, one in fit.temperatures.items()},
        before={name: round(one, 4) for name, one in asdict(fit.before).items()},
        after={name: round(one, 4) for name, one in asdict(fit.after).items()},
    )


def _save(path: Path, calibration: Calibration) -> None:
    with files.saving(path) as file:
        file.write(calibrations.to_json(calibration).encode())
    output.print_failure(f"calibration saved in {path}")


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
    if report.fit is not None:
        yield _fit_table(report.fit)


def _fit_table(fit: Fit) -> Table:
    columns = ("temperature", "", "negative log-likelihood", "calibration error")
    table = Table(*columns, box=None, pad_edge=False)
    rows = {"1": (1.0, fit.before), "fitted, by cross-validation": (fit.temperature, fit.after)}
    for name, (temperature, quality) in rows.items():
        figures = (quality.negative_log_likelihood, quality.expected_calibration_error)
        table.add_row(f"{temperature:.3f}", name, *(f"{one:.3f}" for one in figures))
    for name, temperature in fit.temperatures.items():
        table.add_row(f"{temperature:.3f}", output.cell(f"of {name}"), "", "")
    return table
