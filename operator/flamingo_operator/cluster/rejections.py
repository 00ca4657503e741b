"""Objects that the API server rejected: why, as one word, and whether that may pass by itself.

Pure.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

RejectionReason: TypeAlias = Literal[
    "NameConflict",
    "Rejected",
    "PermissionDenied",
    "KindUnavailable",
    "UnreadableFields",
    "QuotaExceeded",
    "WebhookUnavailable",
    "NamespaceTerminating",
]

TRANSIENT: Final[frozenset[RejectionReason]] = frozenset(
    {"QuotaExceeded", "WebhookUnavailable", "NamespaceTerminating"}
)
"""Reasons that may pass without a change of the FlamingoDeployment or of a policy. The others count
as stalled at once."""

INCIDENTAL: Final[frozenset[RejectionReason]] = frozenset({"KindUnavailable", "UnreadableFields"})
"""Reasons that keep nothing else from being done: what is under way is reported before them."""

_PATTERNS: Final[tuple[tuple[re.Pattern[str], RejectionReason], ...]] = (
    (re.compile(r"exceeded quota|insufficient quota|status unknown for quota"), "QuotaExceeded"),
    (re.compile(r"failed calling webhook|failed to call webhook"), "WebhookUnavailable"),
    (re.compile(r"because it is being terminated"), "NamespaceTerminating"),
    (re.compile(r"(?i)user \".*\" .*(cannot|attempting to grant)"), "PermissionDenied"),
)


@dataclass(frozen=True, slots=True)
class Rejection:
    """An object that the API server rejected."""

    reason: RejectionReason
    message: str
    """What was attempted, and the API server's message."""
    detail: str = ""
    """The API server's message alone."""
    kind: str = ""
    name: str = ""
    component: str = ""
    """What the object belongs to: server, router, preload or batches."""

    @property
    def is_transient(self) -> bool:
        """Whether it may be accepted later without any change."""
        return self.reason in TRANSIENT

    @property
    def is_incidental(self) -> bool:
        """Whether everything else is done nevertheless."""
        return self.reason in INCIDENTAL

    def __str__(self) -> str:
        return self.message


def rejection_reason(message: str) -> RejectionReason:
    """Return the reason behind the API server's message."""
    found = (reason for pattern, reason in _PATTERNS if pattern.search(message))
    return next(found, "Rejected")
