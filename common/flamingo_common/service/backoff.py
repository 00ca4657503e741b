"""Exponential backoff: how long to wait before the next attempt.

Pure: the caller adds the jitter, since that needs a random source.
"""

MAX_DOUBLINGS = 62
"""Beyond it the delay is at its maximum anyway; this keeps the float finite."""


def backoff_s(num_failures: int, *, first_s: float, max_s: float) -> float:
    """Return the seconds to wait after `num_failures` failures in a row.

    After the first failure that is `first_s`; each further failure doubles it, up to `max_s`.
    Zero failures count as one.
    """
    doublings = min(max(num_failures - 1, 0), MAX_DOUBLINGS)
    return min(first_s * 2.0**doublings, max_s)
