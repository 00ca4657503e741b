"""`flamingo embed`: a clip as numbers."""

import os
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from flamingo.client import Embedding, FlamingoClient, address
from flamingo.commands import clips, options, output
from flamingo_common.wire.requests import Layer, Pooling

NUM_SHOWN = 4

Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Write the numbers there, as NumPy's .npy.", dir_okay=False),
]
LayerOption = Annotated[
    Layer,
    typer.Option(
        "--layer", help="encoder: what the ear says; projector: what the language model hears."
    ),
]
PoolingOption = Annotated[
    Pooling, typer.Option("--pooling", help="none: a row a frame; mean: one row a clip.")
]


def embed(  # noqa: PLR0913 - a command's parameters are its options
    file: options.OneClip,
    *,
    out: Out = None,
    layer: LayerOption = "encoder",
    pooling: PoolingOption = "none",
    truncate: options.Truncate = False,
    url: options.Url = address.DEFAULT,
    api_key: options.ApiKey = None,
) -> None:
    """Turn music into numbers: 25 rows a second, or one a clip."""
    if out is not None and not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.parent}", param_hint="--out")
    with (
        FlamingoClient(url, api_key=api_key) as client,
        output.waiting(f"listening to {clips.title(file)}"),
    ):
        audio = clips.audio(file)
        result = client.embed(audio, layer=layer, pooling=pooling, truncate=truncate or None)
    if out is not None:
        _save(result.embedding, out)
    output.table(_summary(result, out))
    output.tell_if_cut(None, result.usage)


def _save(embedding: NDArray[np.float32], out: Path) -> None:
    """Write all of it or nothing: a reader never sees half a file."""
    with tempfile.NamedTemporaryFile(dir=out.absolute().parent, delete=False) as file:
        try:
            np.save(file, embedding)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(0o666 & ~_umask())  # a temporary file is its owner's alone
            Path(file.name).replace(out)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    """Return the process's mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _summary(result: Embedding, out: Path | None) -> Table:
    table = Table.grid(padding=(0, 2))
    num_frames, num_dimensions = result.embedding.shape
    first = ", ".join(f"{value:.4g}" for value in result.embedding[0, :NUM_SHOWN])
    rows = {
        "frames": f"{num_frames:,}" if result.pooling == "none" else f"{num_frames} (mean of all)",
        "dimensions": f"{num_dimensions:,}",
        "seconds": f"{result.usage.audio_seconds:.2f}",
        "first values": f"{first}, …" if num_dimensions > NUM_SHOWN else first,
        "layer": result.layer,
        "model": result.model,
        **({} if out is None else {"written to": str(out)}),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
