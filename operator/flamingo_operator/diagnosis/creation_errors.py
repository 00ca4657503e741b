"""Why the API server refuses to create a pod, read from its message.

Deployments, Jobs and the operator itself get the same messages, so they are classified in
one place. `QuotaExcess` has the numbers of an exceeded quota, from which follows whether the
removal of another pod makes room.

Pure.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from flamingo_operator.api import quantity
from flamingo_operator.cluster.pod_usage import Usage
from flamingo_operator.diagnosis.causes import Cause

PATTERNS: Final[tuple[tuple[re.Pattern[str], Cause], ...]] = (
    (re.compile(r"exceeded (\w+ )*quota"), "QuotaExceeded"),
    (re.compile(r"failed quota: .*must specify"), "ResourcesRequired"),
    (
        re.compile(r"(minimum|maximum) \S+ usage per|(limit to request|request) ratio"),
        "LimitRangeViolated",
    ),
    (re.compile(r"failed calling webhook"), "WebhookUnavailable"),
    (
        re.compile(r"denied (the )?request|violates PodSecurity|security context constraint"),
        "AdmissionDenied",
    ),
    (
        re.compile(
            r"no PriorityClass with name|serviceaccount \S+ not found|RuntimeClass \S+ not found"
        ),
        "ConfigMissing",
    ),
    (re.compile(r"because it is being terminated"), "NamespaceTerminating"),
    (re.compile(r"is invalid: |cannot be handled as"), "InvalidPod"),
)
"""Patterns in the API server's message, the most specific first."""

_PREFIX = re.compile(
    r"^(\(combined from similar events\): )?(Error creating: )?"
    r"([Pp]ods? \"[^\"]*\" is (forbidden|invalid): (: )?)?"
)
_EXCESS = re.compile(
    r"exceeded (?:\w+ )*quota(?:.*?): ?\"?(?P<name>[^,\"]*)\"?,"
    r" requested: (?P<requested>\S+), used: (?P<used>\S+), limited: (?P<limited>\S+)"
)


@dataclass(frozen=True, slots=True)
class QuotaExcess:
    """A quota that a new pod exceeds: what it requests, and what is left without it."""

    name: str
    requested: Usage
    free: Mapping[str, Decimal]

    def is_met_by(self, freed: Iterable[Usage]) -> bool:
        """Whether the pod fits once pods with these usages are gone."""
        gone = list(freed)
        return all(
            needed <= self.free[name] + sum((one.get(name, Decimal(0)) for one in gone), Decimal(0))
            for name, needed in self.requested.items()
        )


def classify(message: str) -> Cause:
    """Return the cause of a rejection."""
    found = (cause for pattern, cause in PATTERNS if pattern.search(message))
    return next(found, "CreationFailed")


def shorten(message: str) -> str:
    """Return a message without the name of the pod, which differs from one try to the next."""
    return _PREFIX.sub("", message, count=1)


def quota_excess(message: str) -> QuotaExcess | None:
    """Return the numbers of an exceeded quota; None if the message has none."""
    found = _EXCESS.search(message)
    if found is None:
        return None
    try:
        requested, used, limited = (_amounts(found[name]) for name in _FIELDS)
        free = {name: limited[name] - used[name] for name in requested}
    except (KeyError, ValueError):
        return None
    return QuotaExcess(found["name"], requested, free)


_FIELDS = ("requested", "used", "limited")


def _amounts(text: str) -> dict[str, Decimal]:
    pairs = (one.rpartition("=") for one in text.rstrip(".").split(","))
    return {name: quantity.parse(amount) for name, _, amount in pairs}
