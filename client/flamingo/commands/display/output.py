"""Printing responses: text as it streams in, JSON, tables, and a spinner on a terminal.

Responses go to standard output; warnings, errors and progress go to standard error. Text from
file names and servers is escaped, so that it cannot control the terminal (`printable`).
"""

import contextlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from flamingo.client import AnswerStream, TextStream
from flamingo.commands.display import error_texts
from flamingo_common.errors import FlamingoError
from flamingo_common.service import printable
from flamingo_common.wire.responses import AudioUsage

UNLIMITED_WIDTH = 1000


def print_stream(
    stream: TextStream,
    *,
    clip: str,
    has_reasoning: bool = False,
    on_text: Callable[[str], object] = str,
) -> None:
    """Print `stream` as it arrives, and a newline; warn if it, or the clip `clip`, is incomplete.

    A spinner is shown until the first text arrives; before that comes the reasoning, if it
    `has_reasoning`. `on_text` is called with what is printed, just before: a Ctrl-C after it was
    shown must not lose it.
    """
    with stream:
        _print_deltas(
            stream,
            clip,
            on_text,
            before=lambda: print_reasoning(stream.reasoning if has_reasoning else ""),
        )
    warn_if_incomplete(stream.finish_reason, stream.usage, clip=clip)


def print_answer(stream: AnswerStream, *, clip: str) -> None:
    """Print the only answer of an analysis as it arrives; warn if something of it is wrong."""
    with stream:
        _print_deltas((delta.text for delta in stream), clip, str)
    reason = None
    for answer in stream.answers.values():
        reason = answer.finish_reason
        for problem in answer.faults or ():
            print_failure(problem)
        if answer.error is not None:
            print_failure(answer.error.message)
    warn_if_incomplete(reason, stream.usage, clip=clip)


def _print_deltas(
    texts: Iterator[str],
    clip: str,
    on_text: Callable[[str], object],
    *,
    before: Callable[[], None] = lambda: None,
) -> None:
    """Print texts as they arrive; `before` is called when the first one has, before it."""
    with spinner(f"processing {clip}"):
        first = next(texts, "")
    before()
    for text in itertools.chain([first], texts):
        on_text(text)
        print(printable.escape_text(text), end="", flush=True)
    print(flush=True)  # before a warning, where both go to one file


def print_reasoning(text: str) -> None:
    """Print on standard error what a model thought before its answer, if it did."""
    if text:
        Console(stderr=True, soft_wrap=True).print(Text(printable.escape_text(text), "dim"))


def print_text(text: str, finish_reason: str | None, usage: AudioUsage, *, clip: str) -> None:
    """Print a complete response; warn if it, or the clip, is incomplete."""
    print(printable.escape_text(text), flush=True)
    warn_if_incomplete(finish_reason, usage, clip=clip)


def warn_if_incomplete(finish_reason: str | None, usage: AudioUsage | None, *, clip: str) -> None:
    """Warn on standard error about a token limit, and truncated or missing audio."""
    if finish_reason == "length":
        print_failure(f"{clip}: output cut off at the token limit; see --max-tokens")
    if usage is not None and usage.audio_truncated:
        rest_s = usage.truncated_seconds
        rest = "the rest was" if rest_s is None else f"{rest_s:,.0f} s were"
        processed = f"audio truncated: the first {usage.audio_seconds:,.0f} s were processed"
        print_failure(f"{clip}: {processed}, {rest} skipped")
    if usage is not None and usage.audio_missing_seconds:
        missing = f"{usage.audio_missing_seconds:,.2f} s of the audio are missing or damaged"
        print_failure(f"{clip}: {missing} (gaps are filled with silence)")


def print_json(response: BaseModel, **more: Any) -> None:
    """Print `response`, after the fields `more`, as JSON: indented only on a terminal."""
    print_json_value({**more, **response.model_dump(mode="json")})


def print_json_value(value: object) -> None:
    """Print `value` as JSON that is valid in the encoding of standard output."""
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    indent = 2 if sys.stdout.isatty() else None
    document = json.dumps(value, ensure_ascii=not is_unicode, indent=indent)
    print(printable.escape_json(document))


def print_plain(text: str) -> None:
    """Print text of several lines, such as a file's, without one more line end."""
    print(printable.escape_text(text), end="", flush=True)


def print_heading(clip: str, *, is_first: bool) -> None:
    """Print the name of the clip that the next output belongs to, as `head` does."""
    name = printable.escape_line(clip)
    print(f"{'' if is_first else chr(10)}==> {name} <==", flush=True)


def print_error(error: FlamingoError, *, clip: str | None = None) -> None:
    """Print one line: the clip, the message, and the request ID, which the server logs too."""
    name = "" if clip is None else printable.escape_line(clip)
    message = error_texts.in_flags(error.message)
    start = "" if clip is None or message.startswith(name) else f"{name}: "
    request = f" [{error.request_id}]" if error.request_id else ""
    print_failure(f"{start}{message}{request}")


def print_failure(message: str) -> None:
    """Print one line on standard error that says what failed, or is missing."""
    print(f"flamingo: {printable.escape_line(message)}", file=sys.stderr)


def cell(value: str, style: StyleType = "") -> Text:
    """Return `value` for a table: printable, on one line, and never read as markup."""
    return Text(printable.escape_line(value), style)


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
    with console.status(cell(status)):
        yield
