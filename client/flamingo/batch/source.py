"""What every source of items implements."""

import os
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from flamingo.batch.items import Entry, Item

ClipAudio = str | os.PathLike[str] | bytes
"""A path, an http(s) URL, or the file's contents."""


@runtime_checkable
class Source(Protocol):
    """Lists items.

    The methods may block: a batch calls them in threads, `items` by one thread at a time.
    """

    def items(self) -> Iterator[Entry]:
        """Return an iterator over all entries from the first.

        Each call and each run lists the same entries in the same order, without holding them all
        in memory.

        Raises:
            BadRequest: the source cannot be read, and why.
            StorageFailed: a folder or bucket cannot be read; that can be different later.
        """
        ...

    def fingerprint(self) -> str:
        """Return what changes when the list of entries does, such as a hash of the manifest.

        A source that may grow between runs, such as a folder, returns what stays the same: its
        kind and place.
        """
        ...

    def audio(self, item: Item) -> ClipAudio:
        """Return the clip of `item`, just before it is sent; contents are dropped afterwards.

        Raises:
            FlamingoError: the clip cannot be read; `InvalidAudio` if trying again cannot help.
        """
        ...
