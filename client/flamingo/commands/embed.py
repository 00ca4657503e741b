"""`flamingo embed`: the embeddings of clips."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from flamingo.client import Embedding, FlamingoClient, address
from flamingo.client.fields import ClipOptions
from flamingo.client.sync_client import Batch
from flamingo.commands import options
from flamingo.commands.display import output
from flamingo.commands.files import clips, embedding_files, many_clips, saved_results
from flamingo.commands.files.saved_results import Targets
from flamingo_common.wire.requests import Layer, Pooling

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Save the embedding of one clip: FILE.npy, FILE.csv or FILE.json; - writes NPY to a"
        " pipe.",
        dir_okay=False,
        show_default=False,
    ),
]
Format = Annotated[
    Literal["npy", "csv", "json"],
    typer.Option("--out-format", help="Format of the files in --out-dir."),
]
LayerOption = Annotated[
    Layer,
    typer.Option(
        "--layer",
        help="encoder: hidden states of the audio encoder; projector: audio tokens as the"
        " language model receives them.",
    ),
]
PoolingOption = Annotated[
    Pooling,
    typer.Option("--pooling", help="none: one row per frame; mean: one row per clip."),
]


@dataclass(frozen=True)
class EmbedOptions:
    """What to request for each clip, and how to print it."""

    layer: Layer
    pooling: Pooling
    clip: ClipOptions
    as_json: bool


def embed(  # noqa: PLR0913 - a command's parameters are its options
    files: options.ClipList,
    *,
    out: Out = None,
    out_dir: options.OutDir = None,
    out_format: Format = "npy",
    layer: LayerOption = "encoder",
    pooling: PoolingOption = "none",
    concurrency: options.Concurrency = None,
    start: options.Start = None,
    end: options.End = None,
    truncate: options.Truncate = False,
    allow_damaged: options.AllowDamaged = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """Compute embeddings of audio clips: 25 rows per second, or one per clip.

    Several clips are embedded at once. With --out-dir each embedding is saved
    as song.mp3.npy, and clips whose file is there are left out. If some clips
    fail, the others are still embedded, and the exit status is 14.
    """
    sent: ClipOptions = {
        "start": start,
        "end": end,
        "truncate": truncate or None,
        "allow_damaged": allow_damaged,
    }
    chosen = EmbedOptions(layer, pooling, sent, as_json)
    num_at_once = many_clips.concurrency_of(files, concurrency)
    _check_output(out, out_dir, len(files))
    with FlamingoClient(url, api_key=api_key) as client:
        if out_dir is not None:
            targets = saved_results.targets(files, out_dir, f".{out_format}")
            num_failed = _save_embeddings(client, targets, chosen, num_at_once)
        elif len(files) == 1:
            _embed_clip(client, files[0], out, chosen)
            return
        else:
            num_failed = _embed_at_once(client, files, chosen, num_at_once)
    many_clips.exit_if_failed(num_failed)


def _check_output(out: Path | None, out_dir: Path | None, num_clips: int) -> None:
    if out is None:
        return
    if out_dir is not None or num_clips > 1:
        raise typer.BadParameter("is for one clip; use --out-dir for several", param_hint="--out")
    embedding_files.check_output(out, flag="--out")


def _embed_clip(client: FlamingoClient, clip: str, out: Path | None, chosen: EmbedOptions) -> None:
    name = clips.display_name(clip)
    with output.spinner(f"processing {name}"):
        result = client.embed(
            clips.open_argument(clip), layer=chosen.layer, pooling=chosen.pooling, **chosen.clip
        )
    if out is not None:
        embedding_files.save(clip, result, out)
    if out == embedding_files.STANDARD_OUTPUT:
        pass  # standard output has the array
    elif chosen.as_json:
        output.print_json_value(embedding_files.document(clip, result, saved_to=out))
    else:
        output.print_table(embedding_files.details(result, out))
    output.warn_if_incomplete(None, result.usage, clip=name)


def _embed_at_once(
    client: FlamingoClient, files: list[str], chosen: EmbedOptions, concurrency: int
) -> int:
    """Embed several clips at once; return the number of clips that failed."""

    def show(clip: str, result: Embedding) -> None:
        if chosen.as_json:
            output.print_json_value(embedding_files.document(clip, result))
        else:
            print(embedding_files.line(clip, result), flush=True)
        output.warn_if_incomplete(None, result.usage, clip=clips.display_name(clip))

    batch = _batch(client, files, chosen, concurrency)
    results = many_clips.results(batch, files, title="embed")
    return many_clips.handle(results, show, as_json=chosen.as_json)


def _save_embeddings(
    client: FlamingoClient, targets: Targets, chosen: EmbedOptions, concurrency: int
) -> int:
    """Save the embeddings that are not there yet; return the number of clips that failed."""

    def save(clip: str, result: Embedding) -> None:
        embedding_files.save(clip, result, targets.files[clip])
        output.warn_if_incomplete(None, result.usage, clip=clips.display_name(clip))

    def start(missing: list[str]) -> Batch[Embedding]:
        return _batch(client, missing, chosen, concurrency)

    return many_clips.save_missing(targets, start, save, title="embed", as_json=chosen.as_json)


def _batch(
    client: FlamingoClient, files: list[str], chosen: EmbedOptions, concurrency: int
) -> Batch[Embedding]:
    many_clips.check_fleet(client)
    return client.batch_embed(
        many_clips.Arguments(files),
        layer=chosen.layer,
        pooling=chosen.pooling,
        concurrency=concurrency,
        **many_clips.RUN_OPTIONS,
        **chosen.clip,
    )
