"""Outlier ejection: which endpoints get no requests for a while although they report ready.

An endpoint is ejected after several failures in a row, or when it takes several times as
long as the others: for ten seconds, and twice as long each further time. A 4xx response, or
one of a pod that is busy or draining, is not a failure. If more than half would be ejected,
none is: then the endpoints are not the cause, and the rest would be overloaded.

Pure.
"""

import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass

MAX_FAILURES = 5
FIRST_EJECTION_S, MAX_EJECTION_S = 10.0, 300.0
MAX_EJECTED_SHARE = 0.5
SLOW_FACTOR = 4.0
"""Below it the policy is enough: work at a slow pod costs more."""
MIN_PEERS = 3
"""With fewer pods the median is meaningless."""
MAX_DOUBLINGS = 16


@dataclass(slots=True)
class EndpointHealth:
    """The failures and ejections of one endpoint."""

    num_failures: int = 0
    """Failures in a row."""
    num_ejections: int = 0
    ejected_until_s: float = float("-inf")

    def record_success(self) -> None:
        """Record a response, of any status that is not a failure."""
        self.num_failures = 0
        self.num_ejections = max(self.num_ejections - 1, 0)

    def record_failure(self, *, now_s: float) -> bool:
        """Record a failed connection or a 5xx response; return whether that ejects the endpoint."""
        self.num_failures += 1
        if self.num_failures < MAX_FAILURES:
            return False
        self.eject(now_s=now_s)
        return True

    def eject(self, *, now_s: float) -> None:
        """Eject the endpoint, longer each time."""
        ejection_s = min(FIRST_EJECTION_S * 2.0**self.num_ejections, MAX_EJECTION_S)
        self.ejected_until_s = now_s + ejection_s
        self.num_ejections = min(self.num_ejections + 1, MAX_DOUBLINGS)
        self.num_failures = 0


def ejected_addresses(candidates: Mapping[str, EndpointHealth], *, now_s: float) -> frozenset[str]:
    """Return which of the endpoints that are otherwise ready are ejected now."""
    ejected = frozenset(
        address for address, health in candidates.items() if health.ejected_until_s > now_s
    )
    return ejected if len(ejected) <= MAX_EJECTED_SHARE * len(candidates) else frozenset()


def slow_addresses(slowdowns: Mapping[str, float]) -> Collection[str]:
    """Return the endpoints of one class that take far longer than its median."""
    if len(slowdowns) < MIN_PEERS:
        return ()
    median = statistics.median(slowdowns.values())
    return [address for address, factor in slowdowns.items() if factor > SLOW_FACTOR * median]
