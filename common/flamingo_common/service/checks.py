"""One finding of `flamingo doctor`: what was looked at, how it is, and what to do about it.

Pure.
"""

from collections.abc import Sequence
from enum import Enum

from pydantic import BaseModel, ConfigDict


class Verdict(Enum):
    """How it is."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    BAD = "bad"


class Check(BaseModel):
    """One line."""

    model_config = ConfigDict(frozen=True)

    topic: str
    verdict: Verdict
    says: str
    advice: str = ""
    """What to do; nothing where all is good, or where what it says already says so."""


def good(topic: str, says: str) -> Check:
    """Return that all is as it should be."""
    return Check(topic=topic, verdict=Verdict.GOOD, says=says)


def doubtful(topic: str, says: str, advice: str) -> Check:
    """Return that it works, but not as well as it could."""
    return Check(topic=topic, verdict=Verdict.DOUBTFUL, says=says, advice=advice)


def bad(topic: str, says: str, advice: str) -> Check:
    """Return that it will not work."""
    return Check(topic=topic, verdict=Verdict.BAD, says=says, advice=advice)


def is_any_bad(checks: Sequence[Check]) -> bool:
    """Return whether something has to be done before it works."""
    return any(check.verdict is Verdict.BAD for check in checks)
