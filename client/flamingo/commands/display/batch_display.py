"""The progress of a batch: live on a terminal, otherwise one plain line every five seconds."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flamingo.batch.progress import Progress
from flamingo.commands.display import batch_texts

LINE_INTERVAL_S = 5.0
REFRESHES_PER_S = 4
BAR_WIDTH = 40
STOPPING = "stopping after what is in flight; Ctrl-C again ends it now"


class BatchDisplay:
    """What is known of a running batch; `show` puts it on the screen."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.progress = Progress()
        self.num_items: int | None = None
        """In the source; None until it has been counted."""
        self._console = Console(stderr=True)
        self._is_stopping = False
        self._last_s = time.monotonic()
        """When the last result came."""

    def on_progress(self, progress: Progress) -> None:
        """Take the counts of the run."""
        self.progress = progress
        self._last_s = time.monotonic()

    def on_stopping(self) -> None:
        """Say that the run ends after what is in flight."""
        self._is_stopping = True
        if not self._console.is_terminal:
            print(f"flamingo: {STOPPING}", file=sys.stderr, flush=True)

    @contextlib.asynccontextmanager
    async def show(self) -> AsyncIterator[None]:
        """Show the progress while the block runs, on standard error."""
        if self._console.is_terminal:
            with Live(
                get_renderable=self.render,
                console=self._console,
                refresh_per_second=REFRESHES_PER_S,
                transient=True,
            ):
                yield
            return
        printing = asyncio.create_task(_print_lines(self._line))
        try:
            yield
        finally:
            printing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await printing

    def _line(self) -> str:
        return batch_texts.line(self.progress, self.num_items, self._quiet_s())

    def _remaining(self) -> str:
        return batch_texts.remaining(self.progress, self.num_items, self._quiet_s())

    def _quiet_s(self) -> float:
        return time.monotonic() - self._last_s

    def render(self) -> Group:
        """Return what a terminal shows."""
        progress = self.progress
        grid = Table.grid(padding=(0, 1))
        grid.add_row(*self._bar())
        failed = f"{progress.num_failed:,} failed"
        parts = [
            (f"{progress.num_done:,} done", "green"),
            (failed, "red" if progress.num_failed else "dim"),
            *((f"{progress.num_unfinished:,} unfinished", "yellow"),)
            * bool(progress.num_unfinished),
            *((f"{progress.num_skipped:,} done before", "dim"),) * bool(progress.num_skipped),
            *((part, "") for part in batch_texts.amounts(progress)),
        ]
        detail = Text(" · ", "dim").join(Text(part, style) for part, style in parts)
        lines: list[Table | Text] = [grid, Text.assemble("  ", detail)]
        if self._is_stopping:
            lines.append(Text(f"  {STOPPING}", "yellow"))
        return Group(*lines)

    def _bar(self) -> list[Text | ProgressBar]:
        num = batch_texts.num_processed(self.progress) + self.progress.num_skipped
        bar = ProgressBar(self.num_items, num, width=BAR_WIDTH, pulse=self.num_items is None)
        title = Text(self.title, "bold")
        if self.num_items is None:
            return [title, bar, Text(f"{num:,}"), Text(self._remaining() or "counting", "dim")]
        percent = f"{num / self.num_items:.0%}" if self.num_items else "100%"
        return [
            title,
            bar,
            Text(f"{num:,}/{self.num_items:,}"),
            Text(percent),
            Text(self._remaining(), "cyan"),
        ]


async def _print_lines(line: Callable[[], str]) -> None:
    """Print one line every five seconds."""
    while True:
        await asyncio.sleep(LINE_INTERVAL_S)
        print(f"flamingo: {line()}", file=sys.stderr, flush=True)
