"""A pod's JSON log lines → lines for people.

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
OWN = frozenset({"timestamp", "level", "event", "service", "exception", "logger"})


def merged(logs: Mapping[str, str]) -> Iterator[tuple[str, Text]]:
    """Yield each line of several pods' logs with its pod's name, in the order of their times.

    A line without a time, such as a traceback's, stays behind the one before it.
    """
    lines: list[tuple[str, str, Text]] = []
    for pod, log in logs.items():
        last = ""
        for line in log.splitlines():
            facts = _facts(line)
            last = str(facts.get("timestamp") or last)
            lines.append((last, pod, readable(line, facts)))
    for _, pod, text in sorted(lines, key=lambda line: line[0]):
        yield pod, text


def readable(line: str, facts: Mapping[str, Any] | None = None) -> Text:
    """Return a line as a person reads it: time of day, level, what happened, its facts."""
    facts = _facts(line) if facts is None else facts
    if "event" not in facts:
        return Text(line)
    level = str(facts.get("level", ""))
    clock = str(facts.get("timestamp", "")).partition("T")[2][:8]
    text = Text.assemble(
        (f"{clock} ", "dim"),
        (f"{level:<8}", STYLES.get(level, "")),
        (str(facts["event"]), "bold"),
    )
    for name, value in _others(facts.items()):
        text.append(f" {name}=", style="cyan").append(value)
    if facts.get("exception"):
        text.append(f"\n{facts['exception']}", style="red")
    return text


def _others(facts: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, value in facts:
        if name not in OWN:
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _facts(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
