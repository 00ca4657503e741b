"""When a rejected request should be sent again.

The time is that until it would be admitted, if those that were rejected before it came back
first: their work is counted, and decreases as the ready pods do it. So a burst does not come
back all at once, to be rejected again.

Pure: time is an argument.
"""

from dataclasses import dataclass

MAX_DEFERRED_S = 60.0
"""Work of one pod that is counted at most: no client gets a longer time."""


@dataclass(slots=True)
class RetryTimes:
    """The work of rejected requests that is expected to come back."""

    _deferred_s: float = 0.0
    """For one pod: divided by the number of ready ones."""
    _at_s: float = 0.0

    def defer(self, excess_s: float, cost_s: float, *, num_ready: int, now_s: float) -> float:
        """Return in how many seconds a request of `cost_s` should be sent again.

        `excess_s` is by how much what it would have to wait for is above its limit.
        """
        passed_s = max(now_s - self._at_s, 0.0)
        ahead_s = max(self._deferred_s - passed_s, 0.0)
        own_s = cost_s / max(num_ready, 1)
        self._deferred_s, self._at_s = min(ahead_s + own_s, MAX_DEFERRED_S), now_s
        return max(excess_s, 0.0) + ahead_s
