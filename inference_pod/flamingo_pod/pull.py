"""`flamingo pull MODEL`: fetch a checkpoint ahead of its pods, and check it. Needs no torch.

Says how far it is on standard error, and the folder on standard output.
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

from flamingo_common.service import logs
from flamingo_common.service.exit_status import ExitStatus

try:
    from flamingo_pod import exit_causes
    from flamingo_pod.model.builtin.sizes import BUILTIN_MODELS
    from flamingo_pod.weights import folder, hub
    from flamingo_pod.weights.errors import CannotLoad
    from flamingo_pod.weights.progress import LoadingProgress
except ModuleNotFoundError as missing:
    print(  # noqa: T201 - said to a person
        f"flamingo pull: {missing.name} is not installed; pip install 'flamingo-fleet[pod]'",
        file=sys.stderr,
    )
    raise SystemExit(ExitStatus.MISSING_DEPENDENCY) from None

BAR_S, LINE_S = 0.1, 5.0


def main(argv: list[str]) -> int:
    """Fetch one checkpoint; return the exit status."""
    asked = _parsed(argv)
    if asked.model in BUILTIN_MODELS:
        print(f"flamingo pull: {asked.model} is built in; there is nothing to fetch")  # noqa: T201
        return ExitStatus.OK
    logs.configure(service="pull", level="warning")
    progress = LoadingProgress()
    try:
        with _told(progress, asked.model):
            found = _found(asked.model, asked.revision, progress)
    except (CannotLoad, PermissionError) as error:
        print(f"flamingo pull: {error}", file=sys.stderr)  # noqa: T201
        return exit_causes.from_load_error(error)
    contents = folder.read_contents(found)
    about = (
        f"{contents.num_parameters / 1e6:,.1f} M parameters in {contents.weight_bytes / 1e9:.2f} GB"
    )
    print(f"{asked.model}: {about}", file=sys.stderr)  # noqa: T201
    print(found)  # noqa: T201
    return ExitStatus.OK


def _parsed(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="flamingo pull", description=__doc__.splitlines()[0])
    parser.add_argument("model", metavar="MODEL", help="a hub id; a folder is only checked")
    parser.add_argument("--revision", help="branch, tag or commit; default: main")
    return parser.parse_args(argv)


def _found(model: str, revision: str | None, progress: LoadingProgress) -> Path:
    if (local := Path(model)).is_dir():
        folder.read_contents(local)
        return local
    return hub.fetch(model, revision, progress).folder


@contextlib.contextmanager
def _told(progress: LoadingProgress, model: str) -> Iterator[None]:
    """Say how far it is: with a bar on a terminal, else a line every `LINE_S`."""
    console = Console(stderr=True)
    is_over = threading.Event()
    tell = _bar if console.is_terminal else _lines
    teller = threading.Thread(target=tell, args=(console, progress, model, is_over))
    teller.start()
    try:
        yield
    finally:
        is_over.set()
        teller.join()


def _bar(console: Console, progress: LoadingProgress, model: str, is_over: threading.Event) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(model, total=None)
        while not is_over.wait(BAR_S):
            now = progress.now()
            bar.update(task, completed=now.done_bytes, total=now.total_bytes)


def _lines(
    console: Console, progress: LoadingProgress, model: str, is_over: threading.Event
) -> None:
    while not is_over.wait(LINE_S):
        now = progress.now()
        left = "" if now.left_s is None else f", {now.left_s:.0f} s left"
        of = (
            ""
            if now.total_bytes is None
            else f" {now.done_bytes / 1e9:.2f}/{now.total_bytes / 1e9:.2f} GB"
        )
        console.print(f"{model}: {now.phase}{of}{left}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
