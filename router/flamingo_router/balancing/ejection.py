"""Outlier ejection: which endpoints get no requests for a while although they report ready.

An endpoint is ejected after several failures in a row, or when it takes several times as
long as the others: for ten seconds, and twice as long each further time. A 4xx response, or
one of a pod that is busy or draining, is not a failure. If more than half would be ejected,
none is: then the endpoints are not the cause, and the rest would be overloaded.

One incident ejects once: the failures of requests that were sent before an ejection ended
belong to that ejection. Afterwards the endpoint is on trial: it gets one request
at a time until one succeeds, and the first that fails ejects it again.

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
    is_on_trial: bool = False
    """Whether it was ejected, and no request has succeeded since."""
    trial: int | None = None
    """Number of the ticket on trial, while it waits for its response."""

    def record_success(self, *, sent_s: float) -> None:
        """Record a response of any status that is not a failure, to a request sent at `sent_s`."""
        self.num_failures = 0
        if sent_s >= self.ejected_until_s:
            self.is_on_trial = False
            self.num_ejections = max(self.num_ejections - 1, 0)

    def record_failure(self, *, sent_s: float, now_s: float) -> bool:
        """Record a failed connection or a 5xx response; return whether that ejects the endpoint."""
        if sent_s < self.ejected_until_s:  # of the incident that has ejected it
            return False
        self.num_failures += 1
        if self.num_failures < MAX_FAILURES and not self.is_on_trial:
            return False
        self.eject(now_s=now_s)
        return True

    def eject(self, *, now_s: float) -> None:
        """Eject the endpoint, longer each time."""
        ejection_s = min(FIRST_EJECTION_S * 2.0**self.num_ejections, MAX_EJECTION_S)
        self.ejected_until_s = now_s + ejection_s
        self.num_ejections = min(self.num_ejections + 1, MAX_DOUBLINGS)
        self.num_failures, self.is_on_trial = 0, True

    def is_ejected(self, *, now_s: float) -> bool:
        """Return whether it gets no request now: for a while, or because one is on trial."""
        return self.ejected_until_s > now_s or (self.is_on_trial and self.trial is not None)

    def begin_trial(self, ticket: int) -> bool:
        """Make `ticket` the one on trial, if one is due; return whether it is."""
        is_due = self.is_on_trial and self.trial is None
        if is_due:
            self.trial = ticket
        return is_due

    def end_trial(self, ticket: int) -> bool:
        """End the wait for the response to the one on trial; return whether `ticket` is that."""
        is_it = self.trial == ticket
        if is_it:
            self.trial = None
        return is_it


def ejected_addresses(
    on_trial: Mapping[str, EndpointHealth], *, num_ready: int, now_s: float
) -> frozenset[str]:
    """Return which endpoints are ejected now.

    `on_trial` has those of the `num_ready` otherwise ready endpoints of which `is_on_trial` holds;
    no other can be ejected.
    """
    ejected = frozenset(
        address for address, health in on_trial.items() if health.is_ejected(now_s=now_s)
    )
    return ejected if len(ejected) <= MAX_EJECTED_SHARE * num_ready else frozenset()


def slow_addresses(slowdowns: Mapping[str, float]) -> Collection[str]:
    """Return the endpoints of one class that take far longer than its median."""
    if len(slowdowns) < MIN_PEERS:
        return ()
    median = statistics.median(slowdowns.values())
    return [address for address, factor in slowdowns.items() if factor > SLOW_FACTOR * median]
