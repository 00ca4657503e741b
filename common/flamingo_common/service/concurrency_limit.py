"""How many requests a sender may have in flight: additive increase, multiplicative decrease.

As TCP does it: the limit grows by one for each round of successes, and is halved when the server
refuses (429, 503). The refusals of one round are one event: the requests were sent under the same
limit, so only the first of them lowers it.

Pure: the sender keeps the time.
"""

from flamingo_common.service.backoff import backoff_s

DECREASE = 0.5
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 15.0


class ConcurrencyLimit:
    """The limit of one sender.

    Example:
        limit = ConcurrencyLimit(max_limit=64)
        # while num_in_flight < limit.limit(): send; on a 200: limit.on_success()
        # on a 429 or 503: pause_s = limit.on_refused(retry_after_s); send nothing for pause_s
    """

    def __init__(self, *, max_limit: int, first_limit: int = 4) -> None:
        """Start with `first_limit`, and never exceed `max_limit`.

        Raises:
            ValueError: one of them is less than 1.
        """
        if min(max_limit, first_limit) < 1:
            raise ValueError(f"limits must be at least 1, not {max_limit} and {first_limit}")
        self._max_limit = max_limit
        self._limit = float(min(first_limit, max_limit))
        self._is_growing_fast = True
        self._num_old = 0
        """Requests in flight that were sent before the limit was lowered."""
        self._num_refusals = 0
        """In a row, each of another round."""

    def limit(self) -> int:
        """Return how many requests may be in flight: from 1 to `max_limit`."""
        return int(self._limit)

    def on_success(self) -> None:
        """Record that a request was answered; also with an error that is not about load.

        Until the first refusal the limit grows by one for each success, which doubles it in a
        round, and afterwards by one in a round.
        """
        self._num_refusals = 0
        if self._num_old > 0:
            self._num_old -= 1
            return
        step = 1.0 if self._is_growing_fast else 1.0 / self._limit
        self._limit = min(self._limit + step, float(self._max_limit))

    def on_refused(self, retry_after_s: float | None = None) -> float:
        """Record that the server refused a request; return how long to send nothing, in seconds.

        That is the server's `Retry-After`, or half a second that doubles with each round of
        refusals, up to 15 s.
        """
        self._is_growing_fast = False
        if self._num_old > 0:
            self._num_old -= 1
        else:
            self._num_refusals += 1
            self._num_old = self.limit() - 1
            self._limit = max(1.0, self._limit * DECREASE)
        if retry_after_s is not None:
            return max(retry_after_s, 0.0)
        return backoff_s(self._num_refusals, first_s=FIRST_PAUSE_S, max_s=MAX_PAUSE_S)
