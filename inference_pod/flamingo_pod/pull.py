"""`flamingo pull MODEL`: download a checkpoint before its pods start, and verify it.

Prints its progress on standard error, and the folder on standard output. Needs no torch.
"""

import argparse
import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from flamingo_common.service import extras, logs
from flamingo_common.service.exit_status import ExitStatus

try:
    from flamingo_pod import exit_causes
    from flamingo_pod.model.builtin.sizes import BUILTIN_MODELS
    from flamingo_pod.weights import folder, hub
    from flamingo_pod.weights.errors import ModelLoadFailed
    from flamingo_pod.weights.progress import LoadingProgress
except ModuleNotFoundError as missing:
    line = extras.missing("flamingo pull", missing.name, "pod")
    print(line, file=sys.stderr)  # noqa: T201 - for the user
    raise SystemExit(ExitStatus.MISSING_DEPENDENCY) from None

DESCRIPTION = "Download a checkpoint before its pods start, and verify it."
BAR_INTERVAL_S, LINE_INTERVAL_S = 0.1, 5.0


def main(argv: list[str]) -> int:
    """Download one checkpoint; return the exit status."""
    arguments = _parse_arguments(argv)
    if arguments.model in BUILTIN_MODELS:
        print(f"flamingo pull: {arguments.model} is built in; there is nothing to download")  # noqa: T201
        return ExitStatus.OK
    logs.configure(service="pull", level="warning")
    progress = LoadingProgress()
    try:
        with _progress_shown(progress, arguments.model):
            path = _fetch(arguments.model, arguments.revision, progress)
    except (ModelLoadFailed, PermissionError) as error:
        print(f"flamingo pull: {error}", file=sys.stderr)  # noqa: T201
        return exit_causes.from_load_error(error)
    contents = folder.read_contents(path)
    summary = (
        f"{contents.num_parameters / 1e6:,.1f} M parameters, {contents.weight_bytes / 1e9:.2f} GB"
    )
    print(f"{arguments.model}: {summary}", file=sys.stderr)  # noqa: T201
    print(path)  # noqa: T201
    return ExitStatus.OK


def _parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="flamingo pull", description=DESCRIPTION)
    parser.add_argument(
        "model", metavar="MODEL", help="Hugging Face id, or a local folder to verify"
    )
    parser.add_argument("--revision", help="branch, tag or commit (default: main)")
    return parser.parse_args(argv)


def _fetch(model: str, revision: str | None, progress: LoadingProgress) -> Path:
    if (local := Path(model)).is_dir():
        folder.read_contents(local)
        return local
    return hub.fetch(model, revision, progress).folder


@contextlib.contextmanager
def _progress_shown(progress: LoadingProgress, model: str) -> Iterator[None]:
    """Show the progress: as a bar on a terminal, else as a line every `LINE_INTERVAL_S`."""
    console = Console(stderr=True)
    is_over = threading.Event()
    show = _show_bar if console.is_terminal else _print_lines
    thread = threading.Thread(target=show, args=(console, progress, model, is_over))
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _show_bar(
    console: Console, progress: LoadingProgress, model: str, is_over: threading.Event
) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(model, total=None)
        while not is_over.wait(BAR_INTERVAL_S):
            now = progress.now()
            bar.update(task, completed=now.done_bytes, total=now.total_bytes)


def _print_lines(
    console: Console, progress: LoadingProgress, model: str, is_over: threading.Event
) -> None:
    while not is_over.wait(LINE_INTERVAL_S):
        now = progress.now()
        left = "" if now.left_s is None else f", {now.left_s:.0f} s left"
        size = ""
        if now.total_bytes is not None:
            size = f" {now.done_bytes / 1e9:.2f}/{now.total_bytes / 1e9:.2f} GB"
        console.print(f"{model}: {now.phase}{size}{left}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
