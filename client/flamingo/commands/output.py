"""How answers are printed: words as they come, JSON whole, and waiting shown on a terminal.

Answers go to standard output; all that is about them goes to standard error.
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

UNBOUNDED_WIDTH = 1000


def words(stream: TextStream, *, about: str) -> None:
    """Print `stream` as it comes, and a newline; say so when it was cut short."""
    with stream:
        with waiting(about):
            first = next(stream, "")
        print(first, end="", flush=True)
        for text in stream:
            print(text, end="", flush=True)
    print()
    tell_if_cut(stream.finish_reason, stream.usage)


def whole(text: str, finish_reason: str | None, usage: AudioUsage) -> None:
    """Print a complete answer; say so when it was cut short."""
    print(text)
    tell_if_cut(finish_reason, usage)


def tell_if_cut(finish_reason: str | None, usage: AudioUsage | None) -> None:
    """Say on standard error that an answer, or what it is about, is not complete."""
    if finish_reason == "length":
        print("flamingo: cut off at the token limit; see --max-tokens", file=sys.stderr)
    if usage is not None and usage.audio_truncated:
        left = usage.truncated_seconds
        rest = "the rest" if left is None else f"{left:,.0f} s more"
        heard = f"heard the first {usage.audio_seconds:,.0f} s; {rest} were left out"
        print(f"flamingo: {heard}", file=sys.stderr)


def answer(body: BaseModel, **more: Any) -> None:
    """Print `body` as JSON: indented on a terminal, one line for programs."""
    told = {**more, **body.model_dump(mode="json")}
    print(json.dumps(told, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def heading(clip: str, *, is_first: bool) -> None:
    """Print which of several clips the next answer is about, as `head` does."""
    print(f"{'' if is_first else chr(10)}==> {clip} <==", flush=True)


def failure(error: FlamingoError, *, about: str | None = None) -> None:
    """Print one line that tells `error`, with the request id that finds it in the server's log."""
    is_named = about is None or error.message.startswith(about)
    start = "flamingo: " if is_named else f"flamingo: {about}: "
    request = f" [{error.request_id}]" if error.request_id else ""
    print(start + " ".join(error.message.split()) + request, file=sys.stderr)


def table(rows: Table) -> None:
    """Print a table: as wide as the terminal, or, for programs, as wide as it likes."""
    Console(width=None if sys.stdout.isatty() else UNBOUNDED_WIDTH).print(rows)


@contextlib.contextmanager
def waiting(about: str) -> Iterator[None]:
    """Show on a terminal that something is on its way."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(about):
        yield
