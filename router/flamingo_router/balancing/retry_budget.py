"""How many requests whose connection was lost can be retried concurrently.

The requests of a pod that crashes are retried on the others, which do the work again; an
overloaded fleet must not get twice the work. The defaults are Envoy's: a fifth of the requests
in flight and at least three, but never less than one pod's share, so that the crash of a
single pod is always covered. A pod that hangs loses its requests only when it counts as
unreachable, long after they were sent; `cover` then states how many that are. A retry after a
refused connection costs no pod any work and is not counted.

Pure.
"""

SHARE = 0.2
MIN_RETRIES = 3
HALF_LIFE_S = 10.0
"""Requests that were in flight a moment ago count too: a pod's crash ends them one by one."""
COVER_S = 10.0
"""How long after its loss a pod's requests are covered."""


class RetryBudget:
    """Counts the requests that are being retried."""

    def __init__(self) -> None:
        self.num_retrying = 0
        self._num_in_flight = 0.0
        self._observed_s = 0.0
        self._num_covered = 0
        self._covered_until_s = float("-inf")

    def observe(self, num_in_flight: int, *, now_s: float) -> None:
        """Record how many requests are in flight."""
        decay = 0.5 ** ((now_s - self._observed_s) / HALF_LIFE_S)
        self._num_in_flight = max(num_in_flight, decay * self._num_in_flight)
        self._observed_s = now_s

    def cover(self, num_lost: int, *, now_s: float) -> None:
        """Allow all requests of one pod to be retried, of which `num_lost` were in flight to it.

        Of several pods that are lost at the same time only the one with the most is covered.
        """
        known = self._num_covered if now_s < self._covered_until_s else 0
        self._num_covered, self._covered_until_s = max(known, num_lost), now_s + COVER_S

    def try_acquire(self, *, num_pods: int, now_s: float) -> bool:
        """Count one more request as retrying, if the budget allows it."""
        share = max(SHARE, 1 / max(num_pods, 1))
        num_covered = self._num_covered if now_s < self._covered_until_s else 0
        if self.num_retrying >= max(MIN_RETRIES, share * self._num_in_flight, num_covered):
            return False
        self.num_retrying += 1
        return True

    def release(self) -> None:
        """Count a retried request as ended."""
        assert self.num_retrying > 0
        self.num_retrying -= 1
