"""The randomness that the balancer is given, so that it needs none of its own.

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
