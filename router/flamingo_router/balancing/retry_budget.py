"""How many requests that broke a connection may be on their second try at once.

A pod that dies sends its requests to the others, which do the work again; a fleet that
is ill must not get twice the work for it. Envoy's defaults, a fifth of what is open
and three at least, but never less than one pod's share: the death of one is paid for.
What a pod refused cost nobody anything and is not counted.

Pure.
"""

SHARE = 0.2
MIN_RETRIES = 3
HALF_LIFE_S = 10.0
"""What was open a moment ago counts too: a pod's death is told request by request."""


class RetryBudget:
    """Counts the requests that are being tried again."""

    def __init__(self) -> None:
        self.num_retrying = 0
        self._num_open = 0.0
        self._seen_s = 0.0

    def see(self, num_open: int, *, now_s: float) -> None:
        """Note how many requests are open."""
        fading = 0.5 ** ((now_s - self._seen_s) / HALF_LIFE_S)
        self._num_open, self._seen_s = max(num_open, fading * self._num_open), now_s

    def take(self, *, num_pods: int) -> bool:
        """Take one try out, if there is one."""
        share = max(SHARE, 1 / max(num_pods, 1))
        if self.num_retrying >= max(MIN_RETRIES, share * self._num_open):
            return False
        self.num_retrying += 1
        return True

    def give_back(self) -> None:
        """Return what was taken, once the try is over."""
        assert self.num_retrying > 0
        self.num_retrying -= 1
