"""The progress of a batch on a terminal and without one."""

import asyncio
import io

import pytest
from rich.console import Console

from flamingo.batch.progress import Progress
from flamingo.commands.display import batch_display
from flamingo.commands.display.batch_display import BatchDisplay

RUNNING = Progress(num_done=410, num_failed=2, num_skipped=88, audio_s=113_040, elapsed_s=540)


def screen(display, width=110):
    console = Console(file=io.StringIO(), width=width)
    console.print(display.render())
    return console.file.getvalue()


def test_a_terminal_shows_a_bar_counts_audio_and_the_time_left():
    display = BatchDisplay("caption")
    display.on_progress(RUNNING)
    display.num_items = 1000
    bar, counts = screen(display).splitlines()
    assert bar.split()[0] == "caption"
    assert "500/1,000 50% about 10 min 55 s left" in bar
    assert counts.strip() == (
        "410 done · 2 failed · 88 done before · 31.4 audio-hours · 209.3x real time"
    )


@pytest.mark.parametrize("num_items", [None, 0, 3])
def test_a_batch_that_has_just_begun_is_shown(num_items):
    display = BatchDisplay("caption")
    display.num_items = num_items
    assert "0 done · 0 failed" in screen(display)


def test_without_a_terminal_there_is_a_plain_line_every_few_seconds(capsys, monkeypatch):
    monkeypatch.setattr(batch_display, "LINE_INTERVAL_S", 0.0)
    display = BatchDisplay("caption")
    display.on_progress(RUNNING)

    async def scenario():
        async with display.show():
            for _ in range(5):
                await asyncio.sleep(0)
            display.on_stopping()

    asyncio.run(scenario())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("flamingo: 410 done, 2 failed, 88 done before, 31.4 audio-hours")
    assert lines[-1].startswith("flamingo: stopping after what is in flight")
