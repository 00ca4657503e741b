"""One result of `flamingo doctor`: what was checked, its status, and how to fix it.

Pure.
"""

from collections.abc import Sequence
from enum import Enum

from pydantic import BaseModel, ConfigDict


class Status(Enum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Check(BaseModel):
    """One check and its outcome."""

    model_config = ConfigDict(frozen=True)

    topic: str
    status: Status
    message: str
    advice: str = ""
    """How to fix it; empty if the check passed, or if the message is enough."""


def ok(topic: str, message: str) -> Check:
    """Return a check that passed."""
    return Check(topic=topic, status=Status.OK, message=message)


def warning(topic: str, message: str, advice: str) -> Check:
    """Return a check of something that works, but not as well as it could."""
    return Check(topic=topic, status=Status.WARNING, message=message, advice=advice)


def failed(topic: str, message: str, advice: str) -> Check:
    """Return a check of something that does not work."""
    return Check(topic=topic, status=Status.FAILED, message=message, advice=advice)


def any_failed(checks: Sequence[Check]) -> bool:
    """Return whether at least one check failed."""
    return any(check.status is Status.FAILED for check in checks)
