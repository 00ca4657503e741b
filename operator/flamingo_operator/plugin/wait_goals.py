"""Whether a deployment has reached what `kubectl flamingo wait` waits for.

Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]

DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class Goal(StrEnum):
    """What to wait for."""

    READY = "ready"
    ROLLOUT = "rollout"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a deployment is."""

    message: str
    is_done: bool = False
    is_failed: bool = False
    """Whether waiting longer is of no use."""


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as 90s, 30m or 1h30m.

    Raises:
        ValueError: it is not a duration.
    """
    found = DURATION.fullmatch(text)
    if found is None or not text:
        raise ValueError(f"{text!r} is not a duration: use for example 90s, 30m or 1h30m")
    hours, minutes, seconds = (int(one or 0) for one in found.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def progress(deployment: Json | None, goal: Goal) -> Reached:
    """Return how far a deployment is; None if it does not exist."""
    if deployment is None:
        message = "it does not exist"
        is_wanted = goal is Goal.DELETED
        return Reached(message, is_done=is_wanted, is_failed=not is_wanted)
    if goal is Goal.DELETED:
        return Reached("it still exists")
    status = deployment.get("status") or {}
    if status.get("observedGeneration") != deployment["metadata"].get("generation"):
        return Reached("waiting for the operator to observe the spec")
    return _ready(status) if goal is Goal.READY else _rollout(status)


def _ready(status: Json) -> Reached:
    ready = _condition(status, "Ready")
    return Reached(_text(ready), is_done=ready.get("status") == "True")


def _rollout(status: Json) -> Reached:
    stalled, progressing = _condition(status, "Stalled"), _condition(status, "Progressing")
    if stalled.get("status") == "True":
        return Reached(_text(stalled), is_failed=True)
    if progressing.get("reason") == "Complete":
        return Reached(_text(progressing), is_done=True)
    updated, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    return Reached(f"{_text(progressing)} ({updated} updated, {ready} ready)")


def _text(condition: Json) -> str:
    if not condition:
        return "the operator has not reported it yet"
    return f"{condition['reason']}: {condition.get('message', '')}"


def _condition(status: Json, kind: str) -> Json:
    found = status.get("conditions") or ()
    return next((one for one in found if one["type"] == kind), {})
