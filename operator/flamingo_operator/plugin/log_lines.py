"""Formats the pods' JSON log lines for a terminal.

Pure.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.text import Text

STYLES: Mapping[str, str] = {
    "debug": "dim",
    "info": "green",
    "warning": "yellow",
    "error": "red",
    "critical": "bold red",
}
SPECIAL_KEYS = frozenset({"timestamp", "level", "event", "service", "exception", "logger"})
"""Keys that are not shown as key=value."""


def merge_by_time(logs: Mapping[str, str]) -> Iterator[tuple[str, Text]]:
    """Yield each line of several pods' logs with its pod's name, in the order of their times.

    A line without a time, such as a traceback's, stays behind the one before it.
    """
    lines: list[tuple[str, str, Text]] = []
    for pod, log in logs.items():
        last = ""
        for line in log.splitlines():
            fields = _parse(line)
            last = str(fields.get("timestamp") or last)
            lines.append((last, pod, format_line(line, fields)))
    for _, pod, text in sorted(lines, key=lambda line: line[0]):
        yield pod, text


def format_line(line: str, fields: Mapping[str, Any] | None = None) -> Text:
    """Return a line as time of day, level, event and key=value pairs.

    A line that is not JSON with an event is returned as it is. `fields` is the parsed line.
    """
    fields = _parse(line) if fields is None else fields
    if "event" not in fields:
        return Text(line)
    level = str(fields.get("level", ""))
    clock = str(fields.get("timestamp", "")).partition("T")[2][:8]
    text = Text.assemble(
        (f"{clock} ", "dim"),
        (f"{level:<8}", STYLES.get(level, "")),
        (str(fields["event"]), "bold"),
    )
    for name, value in _pairs(fields.items()):
        text.append(f" {name}=", style="cyan").append(value)
    if fields.get("exception"):
        text.append(f"\n{fields['exception']}", style="red")
    return text


def _pairs(fields: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, value in fields:
        if name not in SPECIAL_KEYS:
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parse(line: str) -> Mapping[str, Any]:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
