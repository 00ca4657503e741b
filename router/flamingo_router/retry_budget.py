"""How many requests may be on their second try at once.

A pod that dies sends its requests to the others; a fleet that is ill must not get
twice the work for it. Envoy's defaults.

Pure.
"""

SHARE = 0.2
MIN_RETRIES = 3


class RetryBudget:
    """Counts the requests that are being tried again."""

    def __init__(self) -> None:
        self.num_retrying = 0

    def take(self, *, num_open: int) -> bool:
        """Take one try out, if there is one: a fifth of all open requests, or three."""
        if self.num_retrying >= max(MIN_RETRIES, SHARE * num_open):
            return False
        self.num_retrying += 1
        return True

    def give_back(self) -> None:
        """Return what was taken, once the try is over."""
        assert self.num_retrying > 0
        self.num_retrying -= 1
