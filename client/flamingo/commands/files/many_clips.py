"""Several clips of one command at once: as many as the fleet accepts, with progress on a terminal.

Results come in the order of the arguments, so that two runs print the same.
"""

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.live import Live

from flamingo.batch.items import Item
from flamingo.client import CannotConnect, FlamingoClient
from flamingo.client.failures import ConnectionClosed
from flamingo.client.sync_client import Batch
from flamingo.commands.display import error_texts, output
from flamingo.commands.display.batch_display import REFRESHES_PER_S, BatchDisplay
from flamingo.commands.files import clips, saved_results
from flamingo.commands.files.in_order import InOrder
from flamingo.commands.files.saved_results import Targets
from flamingo_common.errors import FlamingoError, Unavailable
from flamingo_common.service.exit_status import ExitStatus

MAX_CONCURRENCY = 64
"""Most clips in flight if the user names no number; the client sends fewer to a busy fleet."""
MAX_OUTAGE_S = 30.0
"""How long to wait for a fleet that accepts nothing."""
RUN_OPTIONS: dict[str, Any] = {"priority": "normal", "max_outage_s": MAX_OUTAGE_S}
"""Of the client's methods for batches: someone waits for these clips."""
T = TypeVar("T")
Results = Generator[tuple[str, T | FlamingoError]]
Hide = Callable[[], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True)
class Arguments:
    """The clips of a command line as a source: each has its number, so one may occur twice."""

    clips: Sequence[str]
    options: Sequence[Mapping[str, Any]] = ()
    """Request fields of each clip; without any, all have those of the batch."""

    def items(self) -> Iterator[Item]:
        """Return an iterator over the clips."""
        own = self.options or [{}] * len(self.clips)
        return (
            Item(str(number), clip, options=options)
            for number, (clip, options) in enumerate(zip(self.clips, own, strict=True))
        )

    def fingerprint(self) -> str:
        """Return the kind of source."""
        return "arguments"

    def audio(self, item: Item) -> str:
        """Return the path or URL."""
        return item.location


def check_fleet(client: FlamingoClient) -> None:
    """Fail at once if no request can succeed: there is no server, or the key is not valid.

    A fleet without a pod that is ready now is waited for.
    """
    with contextlib.suppress(Unavailable):
        client.models()


def concurrency_of(clips: Sequence[str], requested: int | None) -> int:
    """Return how many clips can be in flight; standard input is read after what is before it."""
    if "-" not in clips:
        return requested or MAX_CONCURRENCY
    if (requested or 1) > 1:
        raise typer.BadParameter("standard input is read only without it", param_hint="-j")
    return 1


def in_turn(clips: Sequence[str], process: Callable[[str], None], *, as_json: bool) -> int:
    """Process one clip after the other; return the number of clips that failed."""
    num_failed = 0
    for number, clip in enumerate(clips):
        if not as_json:
            output.print_heading(clip, is_first=number == 0)
        try:
            process(clip)
        except FlamingoError as error:
            if isinstance(error, CannotConnect) and not isinstance(error, ConnectionClosed):
                raise  # the remaining clips would fail in the same way
            print_failure(clip, error, as_json=as_json)
            num_failed += 1
    return num_failed


def results(
    batch: Batch[T], arguments: Sequence[str], *, title: str, in_order: bool = True
) -> Results[T]:
    """Yield each clip of a batch of `Arguments` with its result, in their order or as they come."""
    turns = InOrder[T | FlamingoError]()
    with batch, _progress(batch, title, len(arguments)) as hidden:
        for key, result in batch:
            number = int(key)
            for index, ready in turns.add(number, result) if in_order else [(number, result)]:
                with hidden():
                    yield arguments[index], ready


def save_missing(
    targets: Targets,
    start: Callable[[list[str]], Batch[T]],
    save: Callable[[str, T], None],
    *,
    title: str,
    as_json: bool,
) -> int:
    """Save the results of clips whose file is not there; return the number of clips that failed.

    `start` returns the batch of some clips as `Arguments`.
    """
    num_failed = 0
    if missing := targets.missing():
        batch = start(missing)
        found = results(batch, missing, title=title, in_order=False)
        num_failed = handle(found, save, as_json=as_json)
    saved_results.print_summary(targets, num_missing=len(missing), num_failed=num_failed)
    return num_failed


def handle(results: Results[T], take: Callable[[str, T], None], *, as_json: bool) -> int:
    """Pass on what succeeded, and print what failed; return the number of clips that failed."""
    num_failed = 0
    # If printing fails (`| head`), the batch has to be closed before the client is.
    with contextlib.closing(results):
        for clip, result in results:
            if isinstance(result, FlamingoError):
                print_failure(clip, result, as_json=as_json)
                num_failed += 1
            else:
                take(clip, result)
    return num_failed


def print_failure(clip: str, error: FlamingoError, *, as_json: bool) -> None:
    """Print that a clip failed: a line on standard error, and with `--json` one for programs."""
    output.print_error(error, clip=clip)
    if as_json:
        output.print_json_value({"file": clips.json_name(clip), **error_texts.to_json(error)})


def exit_if_failed(num_failed: int) -> None:
    """End the command with the status for clips that failed beside others that may not have."""
    if num_failed:
        raise typer.Exit(ExitStatus.ITEMS_FAILED)


@contextlib.contextmanager
def _progress(batch: Batch[Any], title: str, num: int) -> Iterator[Hide]:
    """Show counts and the time left, if standard error is a terminal; yield what hides it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield contextlib.nullcontext
        return
    display = BatchDisplay(title)
    display.num_items = num

    def render() -> Any:
        if batch.progress != display.progress:
            display.on_progress(batch.progress)
        return display.render()

    live = Live(
        get_renderable=render,
        console=console,
        refresh_per_second=REFRESHES_PER_S,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )

    @contextlib.contextmanager
    def hidden() -> Iterator[None]:
        live.stop()
        try:
            yield
        finally:
            live.start()

    with live:
        yield hidden
