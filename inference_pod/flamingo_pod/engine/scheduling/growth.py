"""How many slots a tail gets for output that is not generated yet.

How it works: `max_tokens` is a poor estimate of an output's length; where a request does not set
it, it is several times as long. So a sequence is admitted with slots for as many output tokens as
most recent outputs had, and its tail grows if its own turns out longer. More at first means fewer
sequences at once, less means more growth, and growth that finds no room preempts a sequence. Some
slots are left free at admission for the growth of those that run.

Pure.
"""

import bisect
from collections import deque
from dataclasses import dataclass, field

MIN_OBSERVED, MAX_OBSERVED = 16, 256
"""How many recent outputs the estimate needs, and uses."""


@dataclass(slots=True)
class GrowthPolicy:
    """The slots that a tail gets for output; `tests/bench/tails_sim.py` compares the defaults."""

    quantile: float = 0.75
    """What is reserved at first is enough for this part of the recent outputs."""
    prior_tokens: int = 384
    """Reserved at first while too few outputs have finished."""
    min_tokens: int = 64
    """Neither reserved nor added is less, unless a sequence needs less."""
    growth: float = 0.5
    """A tail that is full grows by this part of its output."""
    spare_share: float = 0.05
    """The part of the pool that admission leaves free for the running sequences' growth."""
    _recent: deque[int] = field(default_factory=deque)
    """Lengths of finished outputs, the oldest first."""
    _sorted: list[int] = field(default_factory=list)

    def observe(self, num_output: int) -> None:
        """Take the length of a finished output into account."""
        self._recent.append(num_output)
        bisect.insort(self._sorted, num_output)
        if len(self._recent) > MAX_OBSERVED:
            del self._sorted[bisect.bisect_left(self._sorted, self._recent.popleft())]

    def num_reserved(self, num_output: int) -> int:
        """Return the slots for more output when a sequence with `num_output` tokens is admitted."""
        expected = self.prior_tokens
        if len(self._sorted) >= MIN_OBSERVED:
            expected = self._sorted[int(self.quantile * len(self._sorted))]
        return max(expected - num_output, self.num_grown(num_output))

    def num_grown(self, num_output: int) -> int:
        """Return the slots that the full tail of a sequence with `num_output` tokens gets."""
        return max(self.min_tokens, int(self.growth * num_output))

    def num_spare(self, num_pool: int, num_growable: int) -> int:
        """Return the slots to leave free where running tails may grow by `num_growable` in all."""
        return min(int(self.spare_share * num_pool), num_growable)
