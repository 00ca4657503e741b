"""Embeddings in the formats of `flamingo embed`: NPY, CSV, JSON; and as a table."""

import csv
import io
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import typer
from rich.table import Table

from flamingo.client import Embedding
from flamingo.commands.display import output
from flamingo.commands.files import clips, files
from flamingo_common.service import printable

STANDARD_OUTPUT = Path("-")
NUM_VALUES_SHOWN = 4


def check_output(out: Path, *, flag: str) -> None:
    """Refuse, before the work is done, an output that cannot be written or has no format."""
    if out == STANDARD_OUTPUT:
        if sys.stdout.isatty():
            message = "NPY is binary; redirect it to a file or a pipe, not to a terminal"
            raise typer.BadParameter(message, param_hint=flag)
        return
    if out.suffix.lower() not in WRITERS:
        name = printable.escape_line(out.name)
        message = f"{name}: the name must end with {', '.join(WRITERS)}, or be - for NPY to a pipe"
        raise typer.BadParameter(message, param_hint=flag)
    files.check_directory(out, flag=flag)


def save(clip: str, result: Embedding, out: Path) -> None:
    """Write an embedding to a file in the format of its suffix, or as NPY to standard output."""
    if out != STANDARD_OUTPUT:
        with files.saving(out) as file:
            WRITERS[out.suffix.lower()](clip, result, file)
        return
    contents = io.BytesIO()  # NumPy asks a file for its position, which a pipe has not
    np.save(contents, result.embedding)
    sys.stdout.buffer.write(contents.getbuffer())
    sys.stdout.buffer.flush()


def document(clip: str, result: Embedding, *, saved_to: Path | None = None) -> dict[str, Any]:
    """Return an embedding as JSON types; without its values if they were saved."""
    about = {
        "file": clips.json_name(clip),
        "object": "embedding",
        "model": result.model,
        "layer": result.layer,
        "pooling": result.pooling,
        "shape": list(result.embedding.shape),
        "usage": result.usage.model_dump(mode="json"),
    }
    if saved_to is not None:
        return {**about, "saved_to": clips.json_name(str(saved_to))}
    times = result.frame_timestamps
    return {
        **about,
        "frame_timestamps": None if times is None else times.tolist(),
        "embedding": result.embedding.tolist(),
    }


def details(result: Embedding, out: Path | None) -> Table:
    """Return what is known of one embedding."""
    table = Table.grid(padding=(0, 2))
    rows = {
        "frames": _num_frames(result),
        "dimensions": f"{result.embedding.shape[1]:,}",
        "audio": f"{result.usage.audio_seconds:.2f} s",
        "first values": _first_values(result),
        "layer": result.layer,
        "model": result.model,
        **({} if out is None else {"saved to": str(out)}),
    }
    for name, value in rows.items():
        table.add_row(name, output.cell(value))
    return table


def line(clip: str, result: Embedding) -> str:
    """Return one of several embeddings on one line."""
    frames = f"{_num_frames(result)} frames of {result.embedding.shape[1]:,}"
    amounts = f"{frames}, {result.usage.audio_seconds:.2f} s"
    return f"{printable.escape_line(clip)}: {amounts}, {_first_values(result)}"


def _first_values(result: Embedding) -> str:
    first = ", ".join(f"{value:.4g}" for value in result.embedding[0, :NUM_VALUES_SHOWN])
    return f"{first}, …" if result.embedding.shape[1] > NUM_VALUES_SHOWN else first


def _num_frames(result: Embedding) -> str:
    num_frames = result.embedding.shape[0]
    return f"{num_frames:,}" if result.pooling == "none" else f"{num_frames} (mean)"


def _write_npy(_: str, result: Embedding, file: BinaryIO) -> None:
    np.save(file, result.embedding)


def _write_csv(_: str, result: Embedding, file: BinaryIO) -> None:
    times = result.frame_timestamps
    start = [] if times is None else ["start_s"]
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*start, *range(result.embedding.shape[1])])
    for number, row in enumerate(result.embedding):
        rows.writerow([*([] if times is None else [f"{times[number]:g}"]), *row.tolist()])
    text.detach()


def _write_json(clip: str, result: Embedding, file: BinaryIO) -> None:
    file.write(json.dumps(document(clip, result)).encode() + b"\n")


WRITERS: Mapping[str, Callable[[str, Embedding, BinaryIO], None]] = {
    ".npy": _write_npy,
    ".csv": _write_csv,
    ".json": _write_json,
}
"""By the suffix of the file."""
