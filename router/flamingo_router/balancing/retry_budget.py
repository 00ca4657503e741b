"""How many requests whose connection was lost can be retried concurrently.

The requests of a pod that crashes are retried on the others, which do the work again; an
overloaded fleet must not get twice the work. The defaults are Envoy's: a fifth of the requests
in flight and at least three, but never less than one pod's share, so that the crash of a
single pod is always covered. A retry after a refused connection costs no pod any work and
is not counted.

Pure.
"""

SHARE = 0.2
MIN_RETRIES = 3
HALF_LIFE_S = 10.0
"""Requests that were in flight a moment ago count too: a pod's crash ends them one by one."""


class RetryBudget:
    """Counts the requests that are being retried."""

    def __init__(self) -> None:
        self.num_retrying = 0
        self._num_in_flight = 0.0
        self._observed_s = 0.0

    def observe(self, num_in_flight: int, *, now_s: float) -> None:
        """Record how many requests are in flight."""
        decay = 0.5 ** ((now_s - self._observed_s) / HALF_LIFE_S)
        self._num_in_flight = max(num_in_flight, decay * self._num_in_flight)
        self._observed_s = now_s

    def try_acquire(self, *, num_pods: int) -> bool:
        """Count one more request as retrying, if the budget allows it."""
        share = max(SHARE, 1 / max(num_pods, 1))
        if self.num_retrying >= max(MIN_RETRIES, share * self._num_in_flight):
            return False
        self.num_retrying += 1
        return True

    def release(self) -> None:
        """Count a retried request as ended."""
        assert self.num_retrying > 0
        self.num_retrying -= 1
