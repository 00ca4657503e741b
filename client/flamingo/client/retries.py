"""Whether a failed request is sent again, and after how long.

Pure: the dice are thrown by the caller.
"""

from flamingo_common.errors import MAX_RETRY_AFTER_S, FlamingoError

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 8.0
JITTER = 0.25
"""Up to this share of the wait is taken off, so that clients refused together return apart."""


def is_worth_it(error: FlamingoError, *, num_failed: int, max_retries: int) -> bool:
    """Return whether to try again after `num_failed` failures."""
    return error.retryable and num_failed <= max_retries


def wait_s(error: FlamingoError, *, num_failed: int, dice: float) -> float:
    """Return how long to stay away; `dice` is in [0, 1).

    The server's own word counts, up to `MAX_RETRY_AFTER_S`; without one the
    wait doubles with each failure.
    """
    if error.retry_after_s is not None:
        return min(max(error.retry_after_s, 0.0), MAX_RETRY_AFTER_S)
    backoff_s = min(FIRST_BACKOFF_S * 2.0 ** (num_failed - 1), MAX_BACKOFF_S)
    return backoff_s * (1 - JITTER * dice)
