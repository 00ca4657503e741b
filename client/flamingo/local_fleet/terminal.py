"""Print what the fleet does: plain lines, and on a terminal a line that moves while it starts.

What the user may pipe on goes to standard output; how it goes, to standard error.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.status import Status

from flamingo.local_fleet import messages
from flamingo.local_fleet.plan import LogLevel

PLAIN_EVERY_S = 10.0
"""Without a terminal, progress is told so often even when there is none."""


class Progress:
    """How the start goes."""

    def __init__(self, status: Status | None) -> None:
        self._status = status
        self._started_s = time.monotonic()
        self._told: tuple[int, float] = (0, 0.0)

    def tell(self, num_ready: int, total: int) -> None:
        """Show that `num_ready` of `total` pods are ready."""
        elapsed_s = time.monotonic() - self._started_s
        line = messages.progress(num_ready, total, elapsed_s)
        if self._status is not None:
            self._status.update(line)
            return
        told_ready, told_s = self._told
        if num_ready != told_ready or elapsed_s - told_s >= PLAIN_EVERY_S:
            self._told = (num_ready, elapsed_s)
            note(line)


class LogFollower:
    """New lines of the children's logs, as they come."""

    def __init__(self, threshold: LogLevel) -> None:
        self._threshold = threshold
        self._offsets: dict[Path, int] = {}

    def show(self, logs: Sequence[tuple[str, Path]]) -> None:
        """Print what was written since the last call and is worth showing."""
        for name, path in logs:
            for raw in self._new_lines(path):
                line = messages.parse_log_line(raw)
                if messages.is_shown(line, self._threshold):
                    note(messages.prefixed(name, line.text))

    def _new_lines(self, path: Path) -> list[str]:
        offset = self._offsets.get(path, 0)
        with path.open("rb") as file:
            file.seek(offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._offsets[path] = offset + len(whole) + len(newline)
        return whole.decode("utf-8", "replace").splitlines()


_OUT = Console()
_ERR = Console(stderr=True)


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Yield where to tell progress."""
    if not _ERR.is_terminal:
        yield Progress(None)
        return
    with _ERR.status("starting") as status:
        yield Progress(status)


def announce(text: str) -> None:
    """Print `text` to standard output."""
    _say(_OUT, text)


def note(text: str) -> None:
    """Print `text` to standard error."""
    _say(_ERR, text)


def _say(console: Console, text: str) -> None:
    """Print `text` as it is: no markup, no wrapping, so that a curl can be copied."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
