"""How the servers of a new revision replace the old ones: rollout, drain and disruption.

Pure.
"""

from typing import Annotated, Literal

from pydantic import Field

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block, Rule


class Rollout(Block):
    """How servers of an old revision are replaced."""

    RULES = (
        Rule(
            cel="self.strategy == 'Recreate' || self.maxSurge + self.maxUnavailable > 0",
            message="set rollout.maxSurge or rollout.maxUnavailable to at least 1, or nothing"
            " could ever be replaced",
            holds=lambda self: (
                self.strategy == "Recreate" or self.max_surge + self.max_unavailable > 0
            ),
        ),
    )

    strategy: Literal["Auto", "RollingUpdate", "Recreate"] = "Auto"
    """Auto adds a server first where a GPU is free, and drains one first where none is."""
    max_surge: Annotated[int, Field(ge=0, le=100)] = 1
    """Most servers above the wanted number."""
    max_unavailable: Annotated[int, Field(ge=0, le=100)] = 0
    """Most servers below it."""
    surge_pending_seconds: Annotated[int, Field(ge=10, le=3600)] = 180
    """Auto: how long an added server may wait for a GPU before one is drained first."""
    min_ready_seconds: Annotated[int, Field(ge=0, le=3600)] = 10
    """How long a new server must be ready before the next is replaced."""
    progress_deadline_seconds: Annotated[int, Field(ge=60, le=86_400)] = 3600
    """How long a rollout may make no progress."""
    rollback_on_failure: bool = True
    """Return to the old revision when the deadline passes."""
    paused: bool = False
    """Leave the old servers as they are."""


class DrainSpec(Block):
    """How a server leaves."""

    RULES = (
        Rule(
            cel="self.settleSeconds < self.deadlineSeconds",
            message="raise drain.deadlineSeconds above drain.settleSeconds",
            holds=lambda self: self.settle_seconds < self.deadline_seconds,
        ),
    )

    settle_seconds: Annotated[int, Field(ge=0, le=120)] = 5
    """How long it still serves after it left the endpoints, which takes time to be known."""
    deadline_seconds: Annotated[int, Field(ge=5, le=7200)] = 600
    """Longest time to finish what it holds."""


class DisruptionBudget(Block):
    """How many servers a node's drain may take at once."""

    RULES = (
        Rule(
            cel="has(self.minAvailable) != has(self.maxUnavailable)",
            message="give one of pdb.minAvailable and pdb.maxUnavailable",
            holds=lambda self: (self.min_available is None) != (self.max_unavailable is None),
        ),
    )

    min_available: fields.Count | None = None
    """Servers that must stay."""
    max_unavailable: fields.Count | None = None
    """Servers that may go."""
