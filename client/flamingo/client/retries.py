"""Whether to retry a failed request, and how long to wait before the next attempt.

Pure: the random number is an argument.
"""

from flamingo_common.errors import MAX_RETRY_AFTER_S, FlamingoError
from flamingo_common.service.backoff import backoff_s

INITIAL_BACKOFF_S = 0.5
MAX_BACKOFF_S = 8.0
JITTER = 0.25
"""Up to this fraction of a wait is removed, so that clients do not retry in lockstep."""


def should_retry(error: FlamingoError, *, num_failures: int, max_retries: int) -> bool:
    """Return whether to send the request again after `num_failures` failed attempts."""
    return error.retryable and num_failures <= max_retries


def retry_delay_s(error: FlamingoError, *, num_failures: int, random_fraction: float) -> float:
    """Return the seconds to wait before the next attempt; `random_fraction` is in [0, 1).

    A `Retry-After` from the server is followed, up to `MAX_RETRY_AFTER_S`. Without one the
    wait doubles with each failure.
    """
    if error.retry_after_s is not None:
        return min(max(error.retry_after_s, 0.0), MAX_RETRY_AFTER_S)
    delay_s = backoff_s(num_failures, first_s=INITIAL_BACKOFF_S, max_s=MAX_BACKOFF_S)
    return delay_s * (1 - JITTER * random_fraction)
