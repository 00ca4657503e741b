"""`flamingo analyze`: several questions about each clip."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from flamingo.client import FlamingoClient, address
from flamingo.client.fields import AnalysisOptions
from flamingo.client.results import Analysis
from flamingo.commands import options
from flamingo.commands.catalogue import asked
from flamingo.commands.catalogue.asked import Questions
from flamingo.commands.display import output, result_tables
from flamingo.commands.files import clips, many_clips
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable
from flamingo_common.timed_text import render
from flamingo_common.wire.answers import Answer, to_timed_text

Format = Literal["table", "json", "lrc", "srt", "vtt"]
RENDERERS = {"lrc": render.lrc, "srt": render.srt, "vtt": render.vtt}

FormatOption = Annotated[
    Format,
    typer.Option(
        "--format", help="How to print answers; lrc, srt and vtt are for one clip's lyrics."
    ),
]


@dataclass(frozen=True)
class AnalyzeOptions:
    """What to ask about each clip, and how to print it."""

    questions: Questions
    sampling: AnalysisOptions
    format: Format


def analyze(  # noqa: PLR0913 - a command's parameters are its options
    files: options.ClipList,
    *,
    recipe: asked.RecipeNames = None,
    question: asked.QuestionTexts = None,
    questions: asked.QuestionsFile = None,
    confidence: asked.Confidence = False,
    measure: options.Measure = False,
    output_format: FormatOption = "table",
    concurrency: options.Concurrency = None,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    thinking_token_budget: options.ThinkingTokenBudget = None,
    start: options.Start = None,
    end: options.End = None,
    truncate: options.Truncate = False,
    allow_damaged: options.AllowDamaged = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """Ask several questions about each clip, which is sent and encoded once.

    If some clips fail, the others are still analyzed, and the exit status is 14.
    """
    sampling: AnalysisOptions = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "thinking_token_budget": thinking_token_budget,
        "start": start,
        "end": end,
        "truncate": truncate or None,
        "allow_damaged": allow_damaged,
        "confidence": confidence or None,
        "measure": measure or None,
    }
    try:
        wanted = asked.questions(recipe, question, questions)
    except BadRequest as error:
        raise typer.BadParameter(printable.escape_line(error.message)) from None
    chosen = AnalyzeOptions(wanted, sampling, "json" if as_json else output_format)
    _check(files, chosen)
    num_at_once = many_clips.concurrency_of(files, concurrency)
    with FlamingoClient(url, api_key=api_key) as client:
        if len(files) == 1:
            _print(files[0], _analyze(client, files[0], chosen), chosen)
            return
        many_clips.exit_if_failed(_analyze_all(client, files, chosen, num_at_once))


def _check(files: list[str], chosen: AnalyzeOptions) -> None:
    if not chosen.questions:
        raise typer.BadParameter("name what to ask, with --recipe, --question or --questions")
    if chosen.format in RENDERERS and len(files) > 1:
        raise typer.BadParameter(f"{chosen.format} is for one clip", param_hint="--format")


def _analyze(client: FlamingoClient, clip: str, chosen: AnalyzeOptions) -> Analysis:
    audio = clips.open_argument(clip)
    with output.spinner(f"processing {clips.display_name(clip)}"):
        return client.analyze(audio, questions=chosen.questions, **chosen.sampling)


def _analyze_all(
    client: FlamingoClient, files: list[str], chosen: AnalyzeOptions, concurrency: int
) -> int:
    """Analyze several clips at once; return the number of clips that failed."""
    batch = client.batch_analyze(
        many_clips.Arguments(files),
        questions=chosen.questions,
        concurrency=concurrency,
        **many_clips.RUN_OPTIONS,
        **chosen.sampling,
    )
    num_printed = itertools.count()

    def show(clip: str, result: Analysis) -> None:
        if chosen.format != "json":
            output.print_heading(clip, is_first=next(num_printed) == 0)
        _print(clip, result, chosen)

    results = many_clips.results(batch, files, title="analyze")
    return many_clips.handle(results, show, as_json=chosen.format == "json")


def _print(clip: str, result: Analysis, chosen: AnalyzeOptions) -> None:
    if chosen.format == "json":
        answers = {name: one.model_dump(mode="json") for name, one in result.answers.items()}
        usage = result.usage.model_dump(mode="json")
        measured = result.measured and {"measured": result.measured.model_dump(mode="json")}
        output.print_json_value(
            {"file": clips.json_name(clip), "answers": answers, **(measured or {}), "usage": usage}
        )
    elif chosen.format == "table":
        headings = asked.headings(chosen.questions)
        found = [(headings.get(name, name), one) for name, one in result.answers.items()]
        output.print_table(result_tables.of_answers(found, result.measured))
    else:
        _print_timed(result, chosen)
    output.warn_if_incomplete(None, result.usage, clip=clips.display_name(clip))


def _print_timed(result: Analysis, chosen: AnalyzeOptions) -> None:
    """Print the first answer that has sections; without times the command fails."""
    found = [answer for answer in result.answers.values() if answer.sections is not None]
    if not found:
        output.print_failure(_no_sections(result.answers))
        raise typer.Exit(1)
    start_s, end_s = result.usage.audio_start_seconds, result.usage.audio_end_seconds
    try:
        text = RENDERERS[chosen.format](to_timed_text(found[0]), end_s, start_s=start_s)
    except render.NoTimes as error:
        output.print_failure(f"{error}; --format json has the answer")
        raise typer.Exit(1) from None
    for fault in found[0].faults or ():
        output.print_failure(fault)
    output.print_plain(text)


def _no_sections(answers: Mapping[str, Answer]) -> str:
    errors = [answer.error.message for answer in answers.values() if answer.error is not None]
    return errors[0] if errors else "no answer has sections; use --recipe lyrics or structure"
