"""Server pods that the API server refused to create, and when it is worth another try.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flamingo_operator.cluster.rejections import Rejection

FIRST_RETRY_S, MAX_RETRY_S = 1.0, 30.0


@dataclass(frozen=True, slots=True)
class PodRejection:
    """Why no more server pods of a revision could be created, the last time that was tried."""

    revision: str
    pod: str
    message: str
    """The API server's."""
    since_s: float
    """The first of the rejections that followed each other."""
    at_s: float
    num_pods: int
    """How many server pods there were then: when one is gone, its quota is free."""

    @property
    def retry_at_s(self) -> float:
        """When to try again if nothing changes: the pauses double."""
        return self.at_s + min(MAX_RETRY_S, max(FIRST_RETRY_S, self.at_s - self.since_s))

    def holds(self, revision: str, num_pods: int, now_s: float) -> bool:
        """Whether the same request would be rejected again for all that is known."""
        is_same = self.revision == revision and num_pods >= self.num_pods
        return is_same and now_s < self.retry_at_s


@dataclass(frozen=True, slots=True)
class CreationAttempt:
    """The outcome of one reconciliation for the server pods that it was to create."""

    revision: str
    rejections: Sequence[Rejection]
    num_held: int
    """Pods that were not tried, because of the last rejection."""
    num_pods: int
    now_s: float


def next_rejection(before: PodRejection | None, attempt: CreationAttempt) -> PodRejection | None:
    """Return the rejection to remember after an attempt; None if all pods could be created."""
    rejected = [one for one in attempt.rejections if one.kind == "Pod"]
    if not rejected:
        return before if attempt.num_held else None
    is_repeated = (
        before is not None
        and before.revision == attempt.revision
        and attempt.num_pods >= before.num_pods
    )
    return PodRejection(
        revision=attempt.revision,
        pod=rejected[0].name,
        message=rejected[0].detail,
        since_s=before.since_s if before is not None and is_repeated else attempt.now_s,
        at_s=attempt.now_s,
        num_pods=attempt.num_pods,
    )
