"""What the results in an output are of, and whether another run can continue it.

Pure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VERSION = 1


@dataclass(frozen=True)
class Identity:
    """What the results in an output are of."""

    task: str
    options: Mapping[str, Any]
    """The request fields that all items share. JSON values."""
    source: str
    """The fingerprint of the source."""

    def as_json(self) -> dict[str, Any]:
        """Return what the state file contains, as it is when it is read again."""
        return {
            "version": VERSION,
            "task": self.task,
            "options": json.loads(json.dumps(dict(self.options))),  # a tuple becomes a list
            "source": self.source,
        }


def problem(state: Mapping[str, Any] | None, now: Identity, *, has_results: bool) -> str | None:
    """Return why a run cannot continue an output, as a clause about it; None if it can.

    Args:
        state: what the state file contains; None if it is new.
        now: what this run would write.
        has_results: whether the output has results.
    """
    if state is None:
        return "it has results, but no state file says what they are of" if has_results else None
    if state.get("version") != VERSION:
        return f"its state file has version {state.get('version')!r}, this program writes {VERSION}"
    if state.get("task") != now.task:
        return f"it has results of {state.get('task')!r}, and this run is {now.task!r}"
    if (
        difference := _difference(state.get("options") or {}, now.as_json()["options"])
    ) is not None:
        return difference
    if state.get("source") != now.source:
        return (
            f"the source has changed: it was {state.get('source')}, and is now {now.source}; its"
            " results stay valid for lines that have kept their key and clip (accept_changed, or"
            " --accept-changed, continues with the others)"
        )
    return None


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            return f"its results have {_shown(name, before)}, and this run has {_shown(name, now)}"
    return None


def _shown(name: str, options: Mapping[str, Any]) -> str:
    return f"no {name}" if options.get(name) is None else f"{name}={options[name]!r}"
