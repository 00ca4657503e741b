"""The priority of a request: the header `x-flamingo-priority`.

Pure.
"""

import enum
from collections.abc import Mapping

from flamingo_common.errors import BadRequest
from flamingo_common.wire import PRIORITY_HEADER


class Priority(enum.Enum):
    """How urgent a request is; the values are those of the header."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def is_low(self) -> bool:
        """Whether it gives way to all live requests: those of high or normal priority."""
        return self is Priority.LOW


def priority_of(headers: Mapping[str, str]) -> Priority:
    """Return the priority that the headers name; normal without one.

    Raises:
        BadRequest: it is not one of the three.
    """
    text = headers.get(PRIORITY_HEADER, Priority.NORMAL.value).strip().lower()
    try:
        return Priority(text)
    except ValueError:
        raise BadRequest(
            f"{text[:20]!r} is not a valid {PRIORITY_HEADER}; expected high, normal or low",
            param=PRIORITY_HEADER,
        ) from None
