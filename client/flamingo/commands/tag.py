"""`flamingo tag`: how likely the labels of taxonomies are for clips."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from flamingo.client import Calibration, FlamingoClient, address, calibrations
from flamingo.client.fields import ClipOptions
from flamingo.client.sync_client import Batch
from flamingo.client.taxonomies import Tags, Taxonomy
from flamingo.commands import options
from flamingo.commands.display import output, result_tables
from flamingo.commands.files import clips, many_clips, saved_results
from flamingo.commands.files.saved_results import Targets
from flamingo_common.wire.decisions import MAX_ORDERS

TaxonomyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--taxonomy",
        "-t",
        help="genre, mood, instruments, voice, language, era or use, or a YAML file;"
        " can be repeated.",
    ),
]
Orders = Annotated[
    int | None,
    typer.Option(
        "--orders",
        min=1,
        max=MAX_ORDERS,
        help="Average over so many orders of the options.",
        show_default=False,
    ),
]
AtLeast = Annotated[
    float,
    typer.Option("--at-least", min=0, max=1, help="Show tags with at least this probability."),
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="Temperatures for this model, as flamingo bench quiz --calibration writes them.",
        dir_okay=False,
        show_default=False,
    ),
]


@dataclass(frozen=True)
class TagOptions:
    """What to ask about each clip, and how to print it."""

    taxonomies: Sequence[Taxonomy]
    calibration: Calibration | None
    orders: int | None
    at_least: float
    clip: ClipOptions
    as_json: bool


def tag(  # noqa: PLR0913 - a command's parameters are its options
    files: options.ClipList,
    *,
    taxonomy: TaxonomyOption = None,
    orders: Orders = None,
    at_least: AtLeast = result_tables.LIKELY,
    calibration: CalibrationFile = None,
    concurrency: options.Concurrency = None,
    out_dir: options.OutDir = None,
    start: options.Start = None,
    end: options.End = None,
    truncate: options.Truncate = False,
    allow_damaged: options.AllowDamaged = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """Tag audio clips: how likely each label of a taxonomy is.

    The probabilities are the model's own, and not calibrated without a
    calibration of your own; see flamingo bench quiz --help. Several clips are
    tagged at once; with --out-dir their tags are saved as song.mp3.tags.json,
    and clips whose file is there are left out. If some clips fail, the others are
    still tagged, and the exit status is 14.
    """
    sent: ClipOptions = {
        "start": start,
        "end": end,
        "truncate": truncate or None,
        "allow_damaged": allow_damaged,
    }
    found = None if calibration is None else calibrations.load(calibration)
    asked = calibrations.tag_questions(taxonomy or (), orders, None, found)
    wanted = TagOptions(asked.taxonomies, found, asked.orders, at_least, sent, as_json)
    num_at_once = many_clips.concurrency_of(files, concurrency)
    with FlamingoClient(url, api_key=api_key) as client:
        if found is not None:
            found.check_model(client.models())
        if out_dir is not None:
            targets = saved_results.targets(files, out_dir, ".tags.json")
            num_failed = _save_tags(client, targets, wanted, num_at_once)
        elif len(files) == 1:
            _tag_clip(client, files[0], wanted)
            return
        elif num_at_once == 1:
            one = partial(_tag_clip, client, wanted=wanted)
            num_failed = many_clips.in_turn(files, one, as_json=as_json)
        else:
            num_failed = _tag_at_once(client, files, wanted, num_at_once)
    many_clips.exit_if_failed(num_failed)


def _tag_clip(client: FlamingoClient, clip: str, wanted: TagOptions) -> None:
    audio, name = clips.open_argument(clip), clips.display_name(clip)
    with output.spinner(f"processing {name}"):
        result = client.tag(
            audio,
            *wanted.taxonomies,
            orders=wanted.orders,
            calibration=wanted.calibration,
            **wanted.clip,
        )
    _print_tags(clip, result, wanted)


def _tag_at_once(
    client: FlamingoClient, files: list[str], wanted: TagOptions, concurrency: int
) -> int:
    """Tag several clips at once; return the number of clips that failed."""
    num_printed = itertools.count()

    def show(clip: str, result: Tags) -> None:
        if not wanted.as_json:
            output.print_heading(clip, is_first=next(num_printed) == 0)
        _print_tags(clip, result, wanted)

    batch = _batch(client, files, wanted, concurrency)
    results = many_clips.results(batch, files, title="tag")
    return many_clips.handle(results, show, as_json=wanted.as_json)


def _save_tags(
    client: FlamingoClient, targets: Targets, wanted: TagOptions, concurrency: int
) -> int:
    """Save the tags that are not there yet; return the number of clips that failed."""

    def save(clip: str, result: Tags) -> None:
        text = json.dumps(_document(clip, result), ensure_ascii=False)
        saved_results.save_text(text, targets.files[clip])
        output.warn_if_incomplete(None, result.usage, clip=clips.display_name(clip))

    def start(missing: list[str]) -> Batch[Tags]:
        return _batch(client, missing, wanted, concurrency)

    return many_clips.save_missing(targets, start, save, title="tag", as_json=wanted.as_json)


def _batch(
    client: FlamingoClient, files: list[str], wanted: TagOptions, concurrency: int
) -> Batch[Tags]:
    many_clips.check_fleet(client)
    return client.batch_tag(
        many_clips.Arguments(files),
        *wanted.taxonomies,
        orders=wanted.orders,
        calibration=wanted.calibration,
        concurrency=concurrency,
        **many_clips.RUN_OPTIONS,
        **wanted.clip,
    )


def _print_tags(clip: str, result: Tags, wanted: TagOptions) -> None:
    if wanted.as_json:
        output.print_json_value(_document(clip, result))
    else:
        output.print_table(result_tables.of_tags(result.tags, wanted.at_least))
    output.warn_if_incomplete(None, result.usage, clip=clips.display_name(clip))


def _document(clip: str, result: Tags) -> dict[str, Any]:
    return {
        "file": clips.json_name(clip),
        "model": result.model,
        "tags": {name: [asdict(each) for each in found] for name, found in result.tags.items()},
        "usage": result.usage.model_dump(mode="json"),
    }
