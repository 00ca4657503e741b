"""Print what `flamingo up` does: plain lines, and a spinner if standard error is a terminal.

Results go to standard output; progress, logs and errors go to standard error.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.status import Status

from flamingo.local_fleet import messages
from flamingo.local_fleet.plan import LogLevel
from flamingo_common.service import printable

PLAIN_INTERVAL_S = 10.0
"""Without a terminal, progress is printed this often even if there is none."""


class StartupProgress:
    """The number of pods that are ready, shown in a spinner or in plain lines."""

    def __init__(self, status: Status | None) -> None:
        self._status = status
        self._started_s = time.monotonic()
        self._last_printed: tuple[int, float] = (0, 0.0)

    def update(self, num_ready: int, total: int) -> None:
        """Show that `num_ready` of `total` pods are ready."""
        elapsed_s = time.monotonic() - self._started_s
        line = messages.progress(num_ready, total, elapsed_s)
        if self._status is not None:
            self._status.update(line)
            return
        last_ready, last_s = self._last_printed
        if num_ready != last_ready or elapsed_s - last_s >= PLAIN_INTERVAL_S:
            self._last_printed = (num_ready, elapsed_s)
            print_status(line)


class LogFollower:
    """Prints new lines of the services' logs."""

    def __init__(self, threshold: LogLevel) -> None:
        self._threshold = threshold
        self._offsets: dict[Path, int] = {}

    def print_new_lines(self, logs: Sequence[tuple[str, Path]]) -> None:
        """Print the lines at or above the threshold that were written since the last call."""
        for name, path in logs:
            for raw in self._read_new_lines(path):
                line = messages.parse_log_line(raw)
                if messages.is_shown(line, self._threshold):
                    print_status(messages.prefix_lines(name, line.text))

    def _read_new_lines(self, path: Path) -> list[str]:
        offset = self._offsets.get(path, 0)
        with path.open("rb") as file:
            file.seek(offset)
            complete, newline, _ = file.read().rpartition(b"\n")
        self._offsets[path] = offset + len(complete) + len(newline)
        return complete.decode("utf-8", "replace").splitlines()


_OUT = Console()
_ERR = Console(stderr=True)


@contextlib.contextmanager
def show_progress() -> Iterator[StartupProgress]:
    """Show the progress of the start while the block runs."""
    if not _ERR.is_terminal:
        yield StartupProgress(None)
        return
    with _ERR.status("starting") as status:
        yield StartupProgress(status)


def print_result(text: str) -> None:
    """Print `text` to standard output."""
    _print_verbatim(_OUT, text)


def print_status(text: str) -> None:
    """Print `text` to standard error."""
    _print_verbatim(_ERR, text)


def _print_verbatim(console: Console, text: str) -> None:
    """Print `text` without markup or wrapping, so that commands can be copied."""
    line = printable.escape_text(text)
    console.print(line, markup=False, highlight=False, soft_wrap=True)
