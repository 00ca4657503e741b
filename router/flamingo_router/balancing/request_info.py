"""What a request asks for, as far as the router looks.

Pure.
"""

import enum
from dataclasses import dataclass


class Priority(enum.Enum):
    """How the requests of one tenant stand to each other: the head start in the queue, seconds."""

    HIGH = -60.0
    NORMAL = 0.0
    LOW = 60.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    route: str
    audio_s: float = 0.0
    clip: str | None = None
    """The clip's name."""
    tenant: str = ""
    """Whose request it is; shares are fair between tenants."""
    weight: float = 1.0
    """The tenant's share, beside the others' weights."""
    priority: Priority = Priority.NORMAL
    deadline_s: float | None = None
    """When its client no longer wants it, by the router's clock."""
    max_tokens: int | None = None
    """Most tokens that all its choices may have."""
