"""Printing responses: text as it streams in, JSON, tables, and a spinner on a terminal.

Responses go to standard output; warnings, errors and progress go to standard error.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from flamingo.client import TextStream
from flamingo_common.errors import FlamingoError
from flamingo_common.wire.responses import AudioUsage

UNLIMITED_WIDTH = 1000


def print_stream(stream: TextStream, *, status: str) -> None:
    """Print `stream` as it arrives, and a newline; warn if it is incomplete.

    `status` is shown beside a spinner until the first text arrives.
    """
    with stream:
        with spinner(status):
            first = next(stream, "")
        print(first, end="", flush=True)
        for text in stream:
            print(text, end="", flush=True)
    print()
    warn_if_incomplete(stream.finish_reason, stream.usage)


def print_text(text: str, finish_reason: str | None, usage: AudioUsage) -> None:
    """Print a complete response; warn if it is incomplete."""
    print(text)
    warn_if_incomplete(finish_reason, usage)


def warn_if_incomplete(finish_reason: str | None, usage: AudioUsage | None) -> None:
    """Warn on standard error about output cut off at the token limit, and truncated audio."""
    if finish_reason == "length":
        print("flamingo: output cut off at the token limit; see --max-tokens", file=sys.stderr)
    if usage is not None and usage.audio_truncated:
        rest_s = usage.truncated_seconds
        rest = "the rest was" if rest_s is None else f"{rest_s:,.0f} s were"
        processed = f"audio truncated: the first {usage.audio_seconds:,.0f} s were processed"
        print(f"flamingo: {processed}, {rest} skipped", file=sys.stderr)


def print_json(response: BaseModel, **more: Any) -> None:
    """Print `response`, after the fields `more`, as JSON: indented only on a terminal."""
    fields = {**more, **response.model_dump(mode="json")}
    print(json.dumps(fields, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def print_heading(clip: str, *, is_first: bool) -> None:
    """Print the name of the clip that the next output belongs to, as `head` does."""
    print(f"{'' if is_first else chr(10)}==> {clip} <==", flush=True)


def print_error(error: FlamingoError, *, clip: str | None = None) -> None:
    """Print one line: the clip, the message, and the request ID, which the server logs too."""
    is_named = clip is None or error.message.startswith(clip)
    start = "flamingo: " if is_named else f"flamingo: {clip}: "
    request = f" [{error.request_id}]" if error.request_id else ""
    print(start + " ".join(error.message.split()) + request, file=sys.stderr)


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal; without a terminal, lines are not wrapped."""
    Console(width=None if sys.stdout.isatty() else UNLIMITED_WIDTH).print(table)


@contextlib.contextmanager
def spinner(status: str) -> Iterator[None]:
    """Show `status` with a spinner while the block runs, if standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(status):
        yield
