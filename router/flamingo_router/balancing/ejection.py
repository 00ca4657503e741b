"""Which endpoints are left alone for a while, though they call themselves ready.

An endpoint is ejected after several failures in a row, or when it takes several times
as long as the others; for ten seconds, twice as long each further time. What a pod
refuses (4xx) or cannot take now (busy, draining) is no failure. When more than half
would be ejected, none is: then it is not the endpoints that are ill, and the few that
were left would drown.

Pure.
"""

import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass

MAX_FAILURES = 5
FIRST_S, MAX_S = 10.0, 300.0
MAX_SHARE = 0.5
SLOW_FACTOR = 4.0
"""Below it the policy's own arithmetic does: a slow pod's work costs more."""
MIN_PEERS = 3
"""With fewer there is no telling who is the odd one."""


@dataclass(slots=True)
class Health:
    """What is known of one endpoint's failures."""

    num_failures: int = 0
    """In a row."""
    num_ejections: int = 0
    until_s: float = float("-inf")
    """When it is let in again."""

    def note_success(self) -> None:
        """Note an answer, whatever it said: the pod works."""
        self.num_failures = 0
        self.num_ejections = max(self.num_ejections - 1, 0)

    def note_failure(self, *, now_s: float) -> bool:
        """Note a connection refused or broken, or a fault of the pod; return whether it is out."""
        self.num_failures += 1
        if self.num_failures < MAX_FAILURES:
            return False
        self.eject(now_s=now_s)
        return True

    def eject(self, *, now_s: float) -> None:
        """Leave it alone for a while, longer each time."""
        self.until_s = now_s + min(FIRST_S * 2.0**self.num_ejections, MAX_S)
        self.num_ejections = min(self.num_ejections + 1, 16)
        self.num_failures = 0


def ejected(candidates: Mapping[str, Health], *, now_s: float) -> frozenset[str]:
    """Return which of the endpoints that are otherwise ready get nothing now."""
    out = frozenset(address for address, health in candidates.items() if health.until_s > now_s)
    return out if len(out) <= MAX_SHARE * len(candidates) else frozenset()


def slow(speeds: Mapping[str, float]) -> Collection[str]:
    """Return the endpoints of one class that take far longer than the usual one."""
    if len(speeds) < MIN_PEERS:
        return ()
    usual = statistics.median(speeds.values())
    return [address for address, speed in speeds.items() if speed > SLOW_FACTOR * usual]
