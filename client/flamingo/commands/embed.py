"""`flamingo embed`: the embedding of a clip."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from flamingo.client import Embedding, FlamingoClient, address
from flamingo.commands import clips, files, options, output
from flamingo_common.wire.requests import Layer, Pooling

NUM_VALUES_SHOWN = 4

Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Save the embedding as a NumPy .npy file.", dir_okay=False),
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


def embed(  # noqa: PLR0913 - a command's parameters are its options
    file: options.OneClip,
    *,
    out: Out = None,
    layer: LayerOption = "encoder",
    pooling: PoolingOption = "none",
    truncate: options.Truncate = False,
    allow_damaged: options.AllowDamaged = None,
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """Compute the embedding of an audio clip: 25 rows per second, or one per clip."""
    name = clips.display_name(file)
    if out is not None:
        files.check_directory(out, flag="--out")
    with (
        FlamingoClient(url, api_key=api_key) as client,
        output.spinner(f"processing {name}"),
    ):
        audio = clips.open_argument(file)
        result = client.embed(
            audio,
            layer=layer,
            pooling=pooling,
            truncate=truncate or None,
            allow_damaged=allow_damaged,
        )
    if out is not None:
        _save(result.embedding, out)
    output.print_table(_summary(result, out))
    output.warn_if_incomplete(None, result.usage, clip=name)


def _save(embedding: NDArray[np.float32], out: Path) -> None:
    with files.saving(out) as file:
        np.save(file, embedding)


def _summary(result: Embedding, out: Path | None) -> Table:
    table = Table.grid(padding=(0, 2))
    num_frames, num_dimensions = result.embedding.shape
    first = ", ".join(f"{value:.4g}" for value in result.embedding[0, :NUM_VALUES_SHOWN])
    is_pooled = result.pooling != "none"
    rows = {
        "frames": f"{num_frames} (mean)" if is_pooled else f"{num_frames:,}",
        "dimensions": f"{num_dimensions:,}",
        "audio": f"{result.usage.audio_seconds:.2f} s",
        "first values": f"{first}, …" if num_dimensions > NUM_VALUES_SHOWN else first,
        "layer": result.layer,
        "model": result.model,
        **({} if out is None else {"saved to": str(out)}),
    }
    for name, value in rows.items():
        table.add_row(name, output.cell(value))
    return table
