"""Allocation of the KV pool's token slots in contiguous runs.

How it works: a sequence's keys and values lie in one or two *extents*, runs of consecutive token
slots: a prefix that several sequences may share, and a tail of its own. Both lengths are known
at admission (the prompt is given, the output is capped by `max_tokens`), so an extent is
allocated in full and never grows, and attention reads plain slices of the pool. vLLM's pages
pack tighter but need gathers: 43 ms a step instead of 28 in the prototype.

The pool allocates first-fit from a sorted list of free extents. Neighbouring free extents are
merged when one is freed, so no two of them touch. If none is long
enough, the caller evicts cached extents and tries again (`memory.py`).

Pure.
"""

import bisect
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Extent:
    """The token slots `[start, stop)` of the pool."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Number of token slots."""
        return self.stop - self.start

    def split(self, at: int) -> tuple["Extent", "Extent"]:
        """Return the first `at` slots and the rest."""
        return Extent(self.start, self.start + at), Extent(self.start + at, self.stop)


class ExtentPool:
    """First-fit allocation from the free extents, which are sorted and never touch."""

    def __init__(self, num_tokens: int) -> None:
        self.num_tokens = num_tokens
        self.num_free = num_tokens
        self._free = [Extent(0, num_tokens)]

    def allocate(self, num_tokens: int) -> Extent | None:
        """Return an extent of exactly `num_tokens`, or None if no free one is long enough."""
        for index, extent in enumerate(self._free):
            if extent.length >= num_tokens:
                allocated, rest = extent.split(num_tokens)
                self._free[index : index + 1] = [rest] if rest.length else []
                self.num_free -= num_tokens
                return allocated
        return None

    def free(self, extent: Extent) -> None:
        """Free an allocated extent, or any part of one that has not been freed yet."""
        if not extent.length:
            return
        at = bisect.bisect(self._free, extent)
        before = self._free[at - 1] if at else None
        after = self._free[at] if at < len(self._free) else None
        assert before is None or before.stop <= extent.start, "double free"
        assert after is None or extent.stop <= after.start, "double free"
        joins_before = before is not None and before.stop == extent.start
        joins_after = after is not None and after.start == extent.stop
        start = before.start if before and joins_before else extent.start
        stop = after.stop if after and joins_after else extent.stop
        self._free[at - joins_before : at + joins_after] = [Extent(start, stop)]
        self.num_free += extent.length

    @property
    def longest_free(self) -> int:
        """Length of the longest extent that could be allocated."""
        return max((extent.length for extent in self._free), default=0)
