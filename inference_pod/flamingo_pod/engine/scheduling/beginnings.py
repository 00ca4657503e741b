"""Find which of many token sequences has the longest beginning in common with another.

How it works: the sequences are kept sorted, each as the bytes of its ids. The one that has the most
in common with another is then a neighbour of the place where that other would be inserted, so a
search compares with two of them, however many there are.

Pure.
"""

import bisect
import itertools
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

TOKEN_BYTES = 4


def encode(ids: Sequence[int] | NDArray[np.int32]) -> bytes:
    """Return token ids as bytes, `TOKEN_BYTES` for each."""
    return np.asarray(ids, dtype=np.int32).tobytes()


def num_common(one: bytes, other: bytes) -> int:
    """Return the length of the longest common beginning, in tokens."""
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length // TOKEN_BYTES
    count = length // TOKEN_BYTES
    differs = np.frombuffer(one, np.int32, count) != np.frombuffer(other, np.int32, count)
    return int(differs.argmax())


class Beginnings(Generic[T]):
    """Encoded token sequences in order, each with its owner."""

    def __init__(self) -> None:
        self._sorted: list[tuple[bytes, int, T]] = []
        self._items: dict[T, tuple[bytes, int, T]] = {}
        self._serials = itertools.count()

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, owner: T) -> bool:
        return owner in self._items

    def __iter__(self) -> Iterator[T]:
        """Return all owners, the one added first being the first."""
        return iter(self._items)

    def add(self, ids: bytes, owner: T) -> None:
        """Add the sequence of an owner that has none yet."""
        item = (ids, next(self._serials), owner)  # serials differ, so owners are never compared
        self._items[owner] = item
        bisect.insort(self._sorted, item)

    def remove(self, owner: T) -> None:
        """Remove the sequence of an owner."""
        del self._sorted[bisect.bisect_left(self._sorted, self._items.pop(owner))]

    def longest_common(self, ids: bytes) -> tuple[int, T | None]:
        """Return how many tokens some sequence has in common with `ids`, and its owner.

        Of equal sequences, it is the one added last.
        """
        at = bisect.bisect_right(self._sorted, (ids, next(self._serials)))
        best: tuple[int, T | None] = (0, None)
        for known, _, owner in self._sorted[max(0, at - 1) : at + 1]:
            num = num_common(known, ids)
            if num > best[0]:
                best = (num, owner)
        return best

    def beginning_of(self, ids: bytes) -> T | None:
        """Return the owner of a sequence with which `ids` begins.

        There is at most one if none of the sequences begins with another.
        """
        at = bisect.bisect_right(self._sorted, (ids, next(self._serials)))
        if at and ids.startswith(self._sorted[at - 1][0]):
            return self._sorted[at - 1][2]
        return None

    def extension_of(self, ids: bytes) -> T | None:
        """Return the owner of a sequence that begins with `ids`."""
        at = bisect.bisect_left(self._sorted, (ids,))
        if at < len(self._sorted) and self._sorted[at][0].startswith(ids):
            return self._sorted[at][2]
        return None
