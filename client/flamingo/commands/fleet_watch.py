"""`flamingo fleet --watch`: redrawn in a terminal; in a pipe, a line for each change."""

import datetime as dt
import errno
import os
import select
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from flamingo.commands.display import error_texts, fleet_views, output
from flamingo_common.errors import FlamingoError
from flamingo_common.service import printable
from flamingo_common.wire.report import FleetReport

Look = Callable[[], FleetReport]


def watch(look: Look, *, interval_s: float, as_json: bool) -> None:
    """Show the fleet until Ctrl-C. An error after the first look is shown, and it goes on.

    Raises:
        FlamingoError: the first look failed.
    """
    looks = _looks(look, interval_s)
    if sys.stdout.isatty() and not as_json:
        _redraw(looks)
    else:
        _print_changes(looks, as_json=as_json)


def _looks(look: Look, interval_s: float) -> Iterator[FleetReport | FlamingoError]:
    yield look()
    while True:
        time.sleep(interval_s)
        try:
            yield look()
        except FlamingoError as error:
            yield error


def _redraw(looks: Iterator[FleetReport | FlamingoError]) -> None:
    with Live(console=Console(), auto_refresh=False) as live:
        shown: RenderableType = ""
        for found in looks:
            if isinstance(found, FlamingoError):
                message = printable.escape_line(error_texts.in_flags(found.message))
                live.update(Group(shown, Text(message, "red")), refresh=True)
                continue
            lines = map(printable.escape_line, fleet_views.summary(found))
            shown = Group(*map(Text, lines), fleet_views.table(found))
            live.update(shown, refresh=True)


def _check_reader() -> None:
    """Notice that nothing reads the pipe any more: there may be nothing to write for hours.

    Raises:
        BrokenPipeError: as a write would.
    """
    if not hasattr(select, "poll"):  # Windows
        return
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if any(events & select.POLLERR for _, events in poll.poll(0)):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _print_changes(looks: Iterator[FleetReport | FlamingoError], *, as_json: bool) -> None:
    before: FleetReport | None = None
    problem = ""
    for found in looks:
        _check_reader()
        if isinstance(found, FlamingoError):
            if found.message != problem:
                output.print_error(found)
            problem = found.message
            continue
        lines = list(fleet_views.changes(before, found))
        if as_json and (lines or before is None):
            output.print_json(found)
        elif not as_json:
            now = dt.datetime.now(tz=dt.UTC).strftime("%H:%M:%SZ")
            for line in lines:
                print(f"{now} {printable.escape_line(line)}")
        sys.stdout.flush()
        before, problem = found, ""
