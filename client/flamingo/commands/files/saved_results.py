"""`--out-dir`: one file for each clip, which a later run of the same command leaves alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from flamingo.commands.display import output
from flamingo.commands.files import clips, files, out_dir
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable
from flamingo_common.wire.responses import Caption

FLAG = "--out-dir"


@dataclass(frozen=True)
class Targets:
    """The file of each clip, and the folder that all are in."""

    folder: Path
    files: Mapping[str, Path]
    """In the order of the arguments."""

    def missing(self) -> list[str]:
        """Return the clips whose file is not there."""
        return [clip for clip, target in self.files.items() if not target.exists()]


def targets(arguments: Sequence[str], folder: Path, suffix: str) -> Targets:
    """Return the files of clips, and make their folders.

    Raises:
        typer.BadParameter: two clips would be one file, or nothing can be written there.
    """
    if "-" in arguments:
        raise typer.BadParameter("standard input has no name to save by", param_hint=FLAG)
    try:
        chosen = out_dir.file_names(arguments, suffix, str(Path.cwd()))
    except BadRequest as error:
        raise typer.BadParameter(printable.escape_line(error.message), param_hint=FLAG) from None
    found = {clip: folder / name for clip, name in chosen.items()}
    for parent in dict.fromkeys((folder, *(target.parent for target in found.values()))):
        files.make_directory(parent, flag=FLAG)
    return Targets(folder, found)


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


def print_summary(targets: Targets, *, num_missing: int, num_failed: int) -> None:
    """Print on standard error what was saved, and what was there before."""
    num_before = len(targets.files) - num_missing
    before = f"; {num_before:,} were there" if num_before else ""
    output.print_failure(f"{num_missing - num_failed:,} saved in {targets.folder}{before}")
