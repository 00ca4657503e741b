"""`--out-dir`: one file for each clip, which a later run of the same command leaves alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from flamingo.client.sources import clip_name
from flamingo.commands import clips, files, out_dir, output
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable
from flamingo_common.wire.responses import Caption

FLAG = "--out-dir"


def targets(arguments: Sequence[str], folder: Path, suffix: str) -> dict[str, Path]:
    """Return the file of each clip, in the order of the arguments; make the folder.

    Raises:
        typer.BadParameter: two clips would be one file, or nothing can be written there.
    """
    if "-" in arguments:
        raise typer.BadParameter("standard input has no name to save by", param_hint=FLAG)
    try:
        chosen = out_dir.file_names({clip: clip_name(clip) for clip in arguments}, suffix)
    except BadRequest as error:
        raise typer.BadParameter(printable.escape_line(error.message), param_hint=FLAG) from None
    files.make_directory(folder, flag=FLAG)
    return {clip: folder / name for clip, name in chosen.items()}


def save_text(text: str, target: Path) -> None:
    """Write a file with one text, and a line end."""
    with files.saving(target) as file:
        file.write(f"{text}\n".encode("utf-8", "backslashreplace"))


def save_caption(clip: str, caption: Caption, target: Path, *, as_json: bool) -> None:
    """Write one caption, or the whole response; warn if it is incomplete."""
    document = {"file": clips.json_name(clip), **caption.model_dump(mode="json")}
    save_text(json.dumps(document, ensure_ascii=False) if as_json else caption.caption, target)
    name = clips.display_name(clip)
    output.warn_if_incomplete(caption.finish_reason, caption.usage, clip=name)


def missing(targets: Mapping[str, Path]) -> list[str]:
    """Return the clips whose file is not there."""
    return [clip for clip, target in targets.items() if not target.exists()]


def print_summary(targets: Mapping[str, Path], *, num_missing: int, num_failed: int) -> None:
    """Print on standard error what was saved, and what was there before."""
    folder = next(iter(targets.values())).parent
    num_before = len(targets) - num_missing
    before = f"; {num_before:,} were there" if num_before else ""
    output.print_failure(f"{num_missing - num_failed:,} saved in {folder}{before}")
