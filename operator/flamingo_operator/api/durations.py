"""Durations as the Gateway API and Prometheus write them, such as 30s or 1m30s.

Pure.
"""

import re
from typing import Annotated

from pydantic import Field

_PATTERN = r"^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?([0-9]{1,5}ms)?$"
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

Duration = Annotated[str, Field(min_length=2, max_length=32, pattern=_PATTERN)]
"""Hours, minutes, seconds and milliseconds, in this order."""


def seconds(duration: str) -> float:
    """Return a duration in seconds."""
    parts = re.findall(r"([0-9]+)(ms|[hms])", duration)
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)
