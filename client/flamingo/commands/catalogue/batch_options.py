"""The arguments and options of `flamingo batch`."""

from enum import StrEnum
from typing import Annotated

import typer

from flamingo.batch.outputs.open_output import OutputKind
from flamingo.batch.sources.kinds import Kind
from flamingo_common.wire.requests import Layer, Pooling

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Set by Kubernetes in each pod of an Indexed Job."""
INPUT, OUTPUT, SHARING = "Input", "Output", "Several machines"


class TaskName(StrEnum):
    """What a batch computes for each clip."""

    CAPTION = "caption"
    EMBED = "embed"
    ANALYZE = "analyze"
    ASK = "ask"
    TAG = "tag"


Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Folder, quoted pattern, JSONL, CSV, Parquet or tar file, s3://, gs://, az:// or"
        " https:// URL; or several clips.",
        show_default=False,
    ),
]
Out = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="FILE.jsonl, FILE.parquet, a folder, or a prefix of a bucket.",
        show_default=False,
    ),
]
TaskOption = Annotated[
    TaskName,
    typer.Option(
        "--task",
        "-t",
        help="caption, embed, ask, tag, or analyze: recipes and questions, or else caption and"
        " embed.",
    ),
]
Question = Annotated[
    list[str] | None,
    typer.Option(
        "--question",
        "-q",
        help="Question for --task ask; for --task analyze it can be repeated.",
        show_default=False,
    ),
]
TaxonomyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--taxonomy",
        help="Taxonomy for --task tag, as of flamingo tag; can be repeated.",
        show_default=False,
    ),
]
LayerOption = Annotated[
    Layer, typer.Option("--layer", help="Which embedding: encoder or projector.")
]
PoolingOption = Annotated[
    Pooling, typer.Option("--pooling", help="mean: one vector per clip; none: one per frame.")
]
Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency",
        "-j",
        min=1,
        max=4096,
        help="Most requests in flight; fewer are sent while the fleet refuses some.",
    ),
]
Format = Annotated[
    Kind | None,
    typer.Option(
        "--format", help="What SOURCE is, if that is not found out.", rich_help_panel=INPUT
    ),
]
Column = Annotated[
    str | None,
    typer.Option(
        "--column",
        help="Column of a table that names or contains the clips.",
        rich_help_panel=INPUT,
    ),
]
OutputFormat = Annotated[
    OutputKind | None,
    typer.Option(
        "--output-format", help="What to write into a folder or bucket.", rich_help_panel=OUTPUT
    ),
]
Label = Annotated[
    str,
    typer.Option(
        "--label",
        help="What an answer is, for the names of sidecars: NAME.LABEL.txt.",
        rich_help_panel=OUTPUT,
    ),
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Process clips again that have failed before.",
        rich_help_panel=OUTPUT,
    ),
]
AcceptChanged = Annotated[
    bool,
    typer.Option(
        "--accept-changed",
        help="Continue although SOURCE has changed since the last run.",
        rich_help_panel=OUTPUT,
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Process only share I of N, from 0.",
        rich_help_panel=SHARING,
        show_default=False,
    ),
]
NumShards = Annotated[
    int | None,
    typer.Option(
        "--num-shards",
        min=1,
        help=f"Number of shares; which one is in {INDEX_VARIABLE}, as in an Indexed Job.",
        rich_help_panel=SHARING,
        show_default=False,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Count the clips and estimate the time; process nothing.")
]
