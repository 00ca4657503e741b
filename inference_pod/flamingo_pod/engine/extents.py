"""Runs of the KV pool: taken, split, given back.

A sequence's keys and values lie in one run, or in two: a prefix that several
sequences share and a tail of its own. Its prompt's length is known and its
answer's is capped, so a run is taken whole and never grows; attention then reads
plain slices. Pages would pack tighter and need gathers: 43 ms a step instead of
28 in the prototype.

Pure.
"""

import bisect
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Extent:
    """The tokens `[start, stop)` of the pool."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many tokens fit."""
        return self.stop - self.start

    def split(self, at: int) -> tuple["Extent", "Extent"]:
        """Return the first `at` tokens and the rest."""
        return Extent(self.start, self.start + at), Extent(self.start + at, self.stop)


class ExtentPool:
    """First fit over the free runs, which are kept sorted and never touch."""

    def __init__(self, num_tokens: int) -> None:
        self.num_tokens = num_tokens
        self.num_free = num_tokens
        self._free = [Extent(0, num_tokens)]

    def take(self, num_tokens: int) -> Extent | None:
        """Return a run of exactly `num_tokens`, or None if no run is long enough."""
        for number, run in enumerate(self._free):
            if run.length >= num_tokens:
                taken, rest = run.split(num_tokens)
                self._free[number : number + 1] = [rest] if rest.length else []
                self.num_free -= num_tokens
                return taken
        return None

    def give_back(self, extent: Extent) -> None:
        """Free a run, or any part of one, that was taken and not yet given back."""
        if not extent.length:
            return
        at = bisect.bisect(self._free, extent)
        before = self._free[at - 1] if at else None
        after = self._free[at] if at < len(self._free) else None
        assert before is None or before.stop <= extent.start, "given back twice"
        assert after is None or extent.stop <= after.start, "given back twice"
        joins_before = before is not None and before.stop == extent.start
        joins_after = after is not None and after.start == extent.stop
        start = before.start if before and joins_before else extent.start
        stop = after.stop if after and joins_after else extent.stop
        self._free[at - joins_before : at + joins_after] = [Extent(start, stop)]
        self.num_free += extent.length

    @property
    def longest(self) -> int:
        """The longest run that could be taken."""
        return max((run.length for run in self._free), default=0)
