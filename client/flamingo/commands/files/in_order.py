"""Results that arrive in any order, in the order of the arguments.

Pure.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class InOrder(Generic[T]):
    """Holds results back until all before them are there."""

    def __init__(self) -> None:
        self._waiting: dict[int, T] = {}
        self._next = 0

    def add(self, index: int, result: T) -> Iterator[tuple[int, T]]:
        """Take the result at `index` (from 0); yield those whose turn it is, with their index."""
        self._waiting[index] = result
        while self._next in self._waiting:
            yield self._next, self._waiting.pop(self._next)
            self._next += 1
