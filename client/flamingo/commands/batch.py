"""`flamingo batch`: many clips, with results that survive a kill."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from flamingo.batch import estimate
from flamingo.batch.estimate import BatchWork, Survey
from flamingo.batch.extras import MissingExtra
from flamingo.batch.failures import FleetUnavailable, OutputFailed
from flamingo.batch.items import Item
from flamingo.batch.keys import KeyTable
from flamingo.batch.outputs.open_output import (
    OpenedOutput,
    OutputKind,
    OutputOptions,
    can_have_results,
    open_output,
)
from flamingo.batch.recorder import Recording, key_table
from flamingo.batch.source import Source
from flamingo.batch.sources.open_source import SourceOptions, open_source
from flamingo.batch.sources.shards import Shard, ShardSource, check_shard, parse_shard
from flamingo.batch.storage.storage import StorageFailed
from flamingo.batch.survey import survey
from flamingo.client import (
    AsyncFlamingoClient,
    CannotConnect,
    FlamingoClient,
    address,
    calibrations,
)
from flamingo.client.fields import without_unset
from flamingo.commands import options
from flamingo.commands.caption import Prompt, StyleOption
from flamingo.commands.catalogue import asked, batch_options, batch_plan, batch_questions, batch_run
from flamingo.commands.catalogue.batch_options import TaskName
from flamingo.commands.catalogue.batch_plan import BatchPlan, Wanted
from flamingo.commands.catalogue.batch_questions import DEFAULT_TOKENS
from flamingo.commands.catalogue.batch_run import Finished
from flamingo.commands.display import batch_texts, output
from flamingo.commands.display.batch_display import BatchDisplay
from flamingo.commands.display.batch_texts import End
from flamingo.commands.tag import CalibrationFile, Orders
from flamingo_common import numerals
from flamingo_common.errors import (
    BadRequest,
    FlamingoError,
    NotFound,
    Unavailable,
    UnknownParameter,
)
from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.wire.answers import RecipeCard

EXIT_INTERRUPTED = 130


def batch(  # noqa: PLR0913 - a command's parameters are its options
    ctx: typer.Context,
    sources: batch_options.Sources,
    out: batch_options.Out = "",
    *,
    task: batch_options.TaskOption = TaskName.CAPTION,
    recipe: asked.RecipeNames = None,
    question: batch_options.Question = None,
    questions: asked.QuestionsFile = None,
    taxonomy: batch_options.TaxonomyOption = None,
    orders: Orders = None,
    calibration: CalibrationFile = None,
    measure: options.Measure = False,
    confidence: asked.Confidence = False,
    style: StyleOption = "detailed",
    prompt: Prompt = None,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    thinking_token_budget: options.ThinkingTokenBudget = None,
    truncate: options.Truncate = False,
    allow_damaged: options.AllowDamaged = None,
    layer: batch_options.LayerOption = "encoder",
    pooling: batch_options.PoolingOption = "mean",
    concurrency: batch_options.Concurrency = 64,
    source_format: batch_options.Format = None,
    column: batch_options.Column = None,
    output_format: batch_options.OutputFormat = None,
    label: batch_options.Label = "answer",
    retry_failed: batch_options.RetryFailed = False,
    accept_changed: batch_options.AcceptChanged = False,
    shard: batch_options.ShardOption = None,
    num_shards: batch_options.NumShards = None,
    dry_run: batch_options.DryRun = False,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """Process many clips; the same command continues a batch that was killed.

    Results are recorded as they arrive, each exactly once. Ctrl-C or SIGTERM
    lets the requests in flight finish. At the end, a summary names what failed,
    and the command to try it again.
    """
    given: dict[str, Any] = {"style": style, "prompt": prompt, "layer": layer, "pooling": pooling}
    given |= {"max_tokens": max_tokens, "temperature": temperature, "allow_damaged": allow_damaged}
    given |= {"thinking_token_budget": thinking_token_budget, "confidence": confidence or None}
    given |= {"orders": orders, "truncate": truncate or None, "measure": measure or None}
    wanted = Wanted(recipe, question, questions, taxonomy, calibration)
    fields = batch_plan.fields_of(ctx, task, given, wanted)
    with _reported_errors(), tempfile.TemporaryDirectory(prefix="flamingo-batch-") as scratch:
        share = _shard(shard, num_shards)
        source = _source(sources, SourceOptions(source_format, column), share)
        plan = BatchPlan(task, without_unset(**fields), source, concurrency, url, api_key)
        plan = _with_questions(plan, wanted)
        flags = _OutputFlags(output_format, label, share, Path(scratch))
        if dry_run:
            _print_survey(plan, _finished_keys(out, plan, flags, retry_failed=retry_failed))
            return
        where = _open(out, plan, flags)
        recording = Recording(where.output, where.state_path, accept_changed, retry_failed)
        raise typer.Exit(_run(plan, where, recording))


@dataclass(frozen=True)
class _OutputFlags:
    kind: OutputKind | None
    label: str
    shard: Shard
    scratch: Path


def _source(places: Sequence[str], options: SourceOptions, share: Shard) -> Source:
    opened = open_source(*places, options=options)
    return ShardSource(opened, share) if share.num_shards > 1 else opened


def _open(out: str, plan: BatchPlan, flags: _OutputFlags) -> OpenedOutput:
    if not out:
        raise BadRequest("name the output with -o: FILE.jsonl, FILE.parquet, a folder or a bucket")
    chosen = OutputOptions(
        plan.results,
        lambda location: _clip_path(plan.source, location),
        flags.kind,
        (flags.shard.index, flags.shard.num_shards),
        flags.label,
        plan.forms,
        flags.scratch,
        {one.name: [label.label for label in one.labels] for one in plan.taxonomies},
    )
    return open_output(out, chosen)


def _with_questions(plan: BatchPlan, wanted: Wanted) -> BatchPlan:
    """Return a plan with its questions or tags, after a look at the fleet's recipes and models.

    Raises:
        BadRequest: a question is not valid, the fleet does not have a recipe, or a calibration is
            of another model.
        FlamingoError: the fleet cannot be asked.
    """
    if plan.task is TaskName.TAG:
        return _with_tags(plan, wanted)
    if plan.task is not TaskName.ANALYZE or not wanted.has_any:
        return plan
    questions = asked.questions(wanted.recipes, wanted.questions, wanted.file)
    cards: list[RecipeCard] = []
    if any("recipe" in one for one in questions):
        with FlamingoClient(plan.url, api_key=plan.api_key) as client:
            cards = client.recipes()
    return replace(
        plan,
        fields={**plan.fields, "questions": questions},
        forms=batch_questions.forms(questions, cards),
        num_tokens=batch_questions.num_tokens(questions, cards, plan.fields.get("max_tokens")),
    )


def _with_tags(plan: BatchPlan, wanted: Wanted) -> BatchPlan:
    found = None if wanted.calibration is None else calibrations.load(wanted.calibration)
    tags = calibrations.tag_questions(
        wanted.taxonomies or (), plan.fields.get("orders"), None, found
    )
    if found is not None:
        with FlamingoClient(plan.url, api_key=plan.api_key) as client:
            found.check_model(client.models())
    return replace(
        plan,
        fields={**plan.fields, "calibration": found},
        taxonomies=tags.taxonomies,
        num_tokens=len(tags.questions()) * (tags.orders or 1),
    )


def _clip_path(source: Source, location: str) -> Path | None:
    clip = source.audio(Item(location, location))
    return Path(os.fspath(clip)) if isinstance(clip, os.PathLike) else None


def _run(plan: BatchPlan, where: OpenedOutput, recording: Recording) -> int:
    """Run the batch, and print the summary; return the exit status."""
    display = BatchDisplay(f"{plan.task}")
    client = AsyncFlamingoClient(plan.url, api_key=plan.api_key)
    finished = asyncio.run(batch_run.run_batch(client, plan.start(recording), plan.source, display))
    unfinished = recording.state_path.with_suffix(".unfinished.jsonl")
    end = End(
        finished.progress,
        finished.failures,
        finished.failures_before,
        where.location,
        str(unfinished),
        was_stopped=finished.stopped_by is not None or finished.error is not None,
        command=["flamingo", *sys.argv[1:]],
    )
    if finished.error is not None:
        output.print_error(finished.error)
        if not batch_texts.num_processed(finished.progress):
            return _exit_status(finished)
    for line in batch_texts.summary(end):
        print(line)
    return _exit_status(finished)


def _exit_status(finished: Finished) -> int:
    progress, error = finished.progress, finished.error
    if finished.stopped_by is signal.SIGINT:
        return EXIT_INTERRUPTED
    if isinstance(error, BadRequest | MissingExtra):
        return _opening_status(error)
    if error is not None and not isinstance(error, FleetUnavailable | OutputFailed | StorageFailed):
        return ExitStatus.INTERNAL_ERROR
    if error is not None or finished.stopped_by is not None or progress.num_unfinished:
        return ExitStatus.BATCH_INCOMPLETE
    num_failed = progress.num_failed + progress.num_failed_before
    return ExitStatus.ITEMS_FAILED if num_failed else ExitStatus.OK


def _opening_status(error: FlamingoError) -> ExitStatus:
    if isinstance(error, MissingExtra):
        return ExitStatus.MISSING_DEPENDENCY
    if isinstance(error, CannotConnect | Unavailable):
        return ExitStatus.BATCH_INCOMPLETE
    is_usage = type(error) in {BadRequest, UnknownParameter}
    return ExitStatus.INVALID_CONFIGURATION if is_usage else ExitStatus.INTERNAL_ERROR


@contextlib.contextmanager
def _reported_errors() -> Iterator[None]:
    """Print an error of the block on one line, and exit with its status."""
    try:
        yield
    except FlamingoError as error:
        output.print_error(error)
        raise typer.Exit(_opening_status(error)) from None
    except asyncio.CancelledError:  # the second ctrl-C
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _shard(shard: str | None, num_shards: int | None) -> Shard:
    """Return the share of this process.

    Raises:
        BadRequest: the flags or the environment do not name one.
    """
    if shard is not None and num_shards is not None:
        raise BadRequest("--shard has the number of shares already; leave out --num-shards")
    if shard is not None:
        return parse_shard(shard)
    if num_shards is None:
        return Shard()
    index = numerals.whole(os.environ.get(batch_options.INDEX_VARIABLE, ""))
    if index is None:
        raise BadRequest(
            f"--num-shards {num_shards}: {batch_options.INDEX_VARIABLE} does not say which one;"
            " use --shard I/N"
        )
    return check_shard(Shard(index, num_shards))


def _finished_keys(
    out: str, plan: BatchPlan, flags: _OutputFlags, *, retry_failed: bool
) -> KeyTable | None:
    """Return what earlier runs have finished; nothing is written. None: there is no output."""
    if not out or not can_have_results(out):
        return None
    items = _open(out, plan, flags).output.recorded_items(repair=False)
    return key_table(item for item in items if item.failure is None or not retry_failed)


def _print_survey(plan: BatchPlan, finished: KeyTable | None) -> None:
    with output.spinner("counting"):
        found = survey(plan.source, finished)
        try:
            time_s, problem = _estimated_s(plan, found), ""
        except FlamingoError as error:  # no fleet, or a key that may not see it
            time_s, problem = None, f"the fleet's state cannot be read: {error}"
    for line in batch_texts.survey_lines(found, time_s, problem):
        print(line)
    if plan.forms:
        print(batch_texts.questions_line(len(plan.forms), plan.num_tokens))


def _estimated_s(plan: BatchPlan, found: Survey) -> float | None:
    """Return how long the pods that are ready would need, or None if that is not known.

    Raises:
        FlamingoError: the fleet does not say.
    """
    if found.audio_s is None:
        return None
    try:
        with FlamingoClient(plan.url, api_key=plan.api_key, max_retries=0) as client:
            report = client.fleet()
    except NotFound:  # a single pod
        return None
    loads = [one.load for one in report.endpoints if one.ready and one.load is not None]
    num_tokens = plan.num_tokens or plan.fields.get("max_tokens") or DEFAULT_TOKENS
    is_embedding = plan.task is TaskName.EMBED
    work = BatchWork(found.audio_s, 0 if is_embedding else found.num_items * num_tokens)
    return estimate.time_s(work, [estimate.PodSpeed(one.window_s, one.token_s) for one in loads])
