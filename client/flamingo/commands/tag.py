"""`flamingo tag`: how likely the labels of taxonomies are for clips."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from flamingo.client import CannotConnect, FlamingoClient, address, taxonomies
from flamingo.client.failures import ConnectionClosed
from flamingo.client.fields import ClipOptions
from flamingo.client.taxonomies import Tags, Taxonomy
from flamingo.commands import clips, many_clips, options, output, result_tables
from flamingo_common.errors import FlamingoError
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
Calibration = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        help="YAML file with a temperature for each taxonomy, such as genre: 1.4.",
        dir_okay=False,
        show_default=False,
    ),
]


@dataclass(frozen=True)
class TagOptions:
    """What to ask about each clip, and how to print it."""

    taxonomies: Sequence[Taxonomy]
    temperatures: Mapping[str, float]
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
    calibration: Calibration = None,
    truncate: options.Truncate = False,
    allow_damaged: options.AllowDamaged = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """Tag audio clips: how likely each label of a taxonomy is.

    The probabilities are the model's own, and not calibrated. If some clips
    fail, the others are still tagged, and the exit status is 14.
    """
    chosen = [taxonomies.load(each) for each in taxonomy or ("genre",)]
    sent: ClipOptions = {"truncate": truncate or None, "allow_damaged": allow_damaged}
    taxonomies.check_names(chosen)
    temperatures = {} if calibration is None else taxonomies.load_temperatures(calibration)
    wanted = TagOptions(chosen, temperatures, orders, at_least, sent, as_json)
    num_failed = 0
    with FlamingoClient(url, api_key=api_key) as client:
        for number, clip in enumerate(files):
            if len(files) > 1 and not as_json:
                output.print_heading(clip, is_first=number == 0)
            try:
                _tag_clip(client, clip, wanted)
            except FlamingoError as error:
                is_down = isinstance(error, CannotConnect) and not isinstance(
                    error, ConnectionClosed
                )
                if len(files) == 1 or is_down:
                    raise
                many_clips.print_failure(clip, error, as_json=as_json)
                num_failed += 1
    many_clips.exit_if_failed(num_failed)


def _tag_clip(client: FlamingoClient, clip: str, wanted: TagOptions) -> None:
    audio, name = clips.open_argument(clip), clips.display_name(clip)
    with output.spinner(f"processing {name}"):
        result = client.tag(
            audio,
            *wanted.taxonomies,
            orders=wanted.orders,
            temperatures=wanted.temperatures,
            **wanted.clip,
        )
    if wanted.as_json:
        output.print_json_value({"file": clips.json_name(clip), **_document(result)})
    else:
        output.print_table(result_tables.of_tags(result.tags, wanted.at_least))
    output.warn_if_incomplete(None, result.usage, clip=name)


def _document(result: Tags) -> dict[str, Any]:
    return {
        "model": result.model,
        "tags": {name: [asdict(each) for each in found] for name, found in result.tags.items()},
        "usage": result.usage.model_dump(mode="json"),
    }
