"""The `rollout` and `drain` blocks: how server pods are replaced and removed.

Pure.
"""

from typing import Annotated, Literal

from pydantic import Field

from flamingo_operator.api.rules import Block, Rule


class Rollout(Block):
    """Rollout determines how server pods of an old revision are replaced."""

    RULES = (
        Rule(
            cel="self.strategy == 'Recreate' || self.maxSurge + self.maxUnavailable > 0",
            message="rollout.maxSurge and rollout.maxUnavailable must not both be 0, or no server"
            " pod could be replaced: set one of them to at least 1",
            field_path=".maxSurge",
            holds=lambda self: (
                self.strategy == "Recreate" or self.max_surge + self.max_unavailable > 0
            ),
        ),
    )

    strategy: Literal["Auto", "RollingUpdate", "Recreate"] = "Auto"
    """strategy determines how old server pods are replaced. RollingUpdate keeps to maxSurge and
    maxUnavailable. Recreate drains all old server pods before it creates new ones. Auto is like
    RollingUpdate, but drains an old server pod first if a new one cannot come, for example because
    no GPU is free or a ResourceQuota is used up, and the old one makes room for it."""
    max_surge: Annotated[int, Field(ge=0, le=100)] = 1
    """maxSurge is the maximum number of server pods above the desired number."""
    max_unavailable: Annotated[int, Field(ge=0, le=100)] = 0
    """maxUnavailable is the maximum number of server pods that may be missing from the desired
    number."""
    surge_pending_seconds: Annotated[int, Field(ge=10, le=3600)] = 180
    """surgePendingSeconds is how long strategy Auto waits for room for a new server pod before an
    old one is drained first."""
    min_ready_seconds: Annotated[int, Field(ge=0, le=3600)] = 10
    """minReadySeconds is how long a new server pod must be ready before it counts as available."""
    progress_deadline_seconds: Annotated[int, Field(ge=60, le=86_400)] = 3600
    """progressDeadlineSeconds is how long a rollout may make no progress before it has failed."""
    rollback_on_failure: bool = True
    """rollbackOnFailure determines whether a failed rollout returns to the last revision that
    worked."""
    paused: bool = False
    """paused stops the rollout: server pods of the old revision are not replaced."""


class DrainSpec(Block):
    """DrainSpec determines how a server pod finishes its requests before it is deleted."""

    RULES = (
        Rule(
            cel="self.settleSeconds < self.deadlineSeconds",
            message="drain.settleSeconds must be less than drain.deadlineSeconds: raise"
            " deadlineSeconds",
            field_path=".settleSeconds",
            holds=lambda self: self.settle_seconds < self.deadline_seconds,
        ),
    )

    settle_seconds: Annotated[int, Field(ge=0, le=120)] = 5
    """settleSeconds is how long a server pod still accepts requests after it was removed from the
    endpoints, until routers and kube-proxy have noticed."""
    deadline_seconds: Annotated[int, Field(ge=5, le=7200)] = 600
    """deadlineSeconds is the longest time for a server pod to finish its requests."""
