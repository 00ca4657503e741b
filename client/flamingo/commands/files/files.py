"""Files that a command writes: as a whole, or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import typer

from flamingo.commands.display import output
from flamingo_common.service import printable


def check_directory(out: Path, *, flag: str) -> None:
    """Refuse, before the work is done, a directory in which nothing can be saved."""
    parent = printable.escape_line(str(out.parent))
    if not out.absolute().parent.is_dir():
        raise typer.BadParameter(
            f"directory {parent} does not exist; create it first", param_hint=flag
        )
    if not os.access(out.absolute().parent, os.W_OK):
        raise typer.BadParameter(f"directory {parent} is not writable", param_hint=flag)


def make_directory(folder: Path, *, flag: str) -> None:
    """Make a directory to save files in, or refuse it before the work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"cannot make directory {printable.escape_line(str(folder))}: {reason}"
        raise typer.BadParameter(message, param_hint=flag) from None
    if not os.access(folder, os.W_OK):
        message = f"directory {printable.escape_line(str(folder))} is not writable"
        raise typer.BadParameter(message, param_hint=flag)


@contextlib.contextmanager
def saving(out: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `out` when the block ends, so no reader ever sees part of it.

    An error of the disk is printed, and ends the command with status 1.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=out.absolute().parent, delete=False) as file:
            try:
                yield cast("BinaryIO", file)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o666 & ~_umask())  # temporary files are private
                Path(file.name).replace(out)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        output.print_failure(f"cannot write {out}: {(error.strerror or str(error)).lower()}")
        raise typer.Exit(1) from None


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
