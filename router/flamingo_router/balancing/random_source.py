"""The random source that is an argument of the balancer, so that tests can replace it.

Pure.
"""

from collections.abc import Sequence
from typing import Protocol


class RandomSource(Protocol):
    """The part of `random.Random` that balancing uses."""

    def random(self) -> float:
        """Return a number evenly distributed in [0, 1)."""

    def sample(self, population: Sequence[str], k: int) -> Sequence[str]:
        """Return `k` distinct members of `population`."""
