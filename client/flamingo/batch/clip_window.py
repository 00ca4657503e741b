"""The next items to send, in the order that lets the fleet's caches help.

A window of the source is held, and the items in it that are about the same clip leave one after
the other: the router sends them to one pod, which encodes the clip once. Otherwise items leave in
the order of the source.

Pure.
"""

from collections import deque

from flamingo.batch.items import Item


class ClipWindow:
    """Items that were read from the source and not sent yet; falsy when it is empty."""

    def __init__(self) -> None:
        self._clips: dict[str, deque[Item]] = {}
        """By location, in the order in which the source listed the first of each."""
        self._num_items = 0

    def __len__(self) -> int:
        return self._num_items

    def push(self, item: Item) -> None:
        """Add an item."""
        self._clips.setdefault(item.location, deque()).append(item)
        self._num_items += 1

    def pop(self) -> Item:
        """Remove and return the next item: of the same clip as the last one, if there is one.

        Raises:
            IndexError: the window is empty.
        """
        if not self._clips:
            raise IndexError("pop from an empty window")
        location, items = next(iter(self._clips.items()))
        item = items.popleft()
        if not items:
            del self._clips[location]
        self._num_items -= 1
        return item
