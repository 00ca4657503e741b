"""The items that are still to be sent, read from the source a piece at a time."""

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor

from flamingo.batch.clip_window import ClipWindow
from flamingo.batch.items import Entry, Item, Malformed
from flamingo.batch.keys import FAILED, FINISHED, SEEN, KeyTable
from flamingo.batch.source import Source

WINDOW_ITEMS = 1024
"""How far apart lines about one clip may be and still be sent together."""
READ_ITEMS = 256
"""Read from the source at once, in a thread."""


class Feed:
    """Entries of a source, without those that an earlier run finished."""

    def __init__(self, source: Source, keys: KeyTable | None, threads: Executor) -> None:
        """`keys` has the finished ones; without it, every entry is new, also one listed twice."""
        self._source = source
        self._keys = keys
        self._threads = threads
        self._iterator: Iterator[Entry] | None = None
        self._window = ClipWindow()
        self._malformed: deque[Malformed] = deque()
        self._is_at_end = False
        self._reading: asyncio.Future[list[Entry]] | None = None
        self._num_read = 0
        self.num_skipped = 0
        """Items that an earlier run finished."""
        self.num_failed_before = 0
        """Those of them that have failed."""

    async def next(self) -> Entry | None:
        """Return the next entry; None at the end. It is awaited only while none has been read."""
        while True:
            self._read_ahead()
            if self._malformed:
                return self._malformed.popleft()
            if self._window:
                return self._window.pop()
            if self._reading is None:
                return None
            await asyncio.wait([self._reading])

    def _read_ahead(self) -> None:
        """Take what a thread has read, and have it read on if there is room.

        Raises what reading has raised.
        """
        if self._reading is not None and self._reading.done():
            reading, self._reading = self._reading, None
            for entry in reading.result():
                self._add(entry)
        has_room = len(self._window) <= WINDOW_ITEMS - READ_ITEMS
        if self._reading is None and has_room and not self._is_at_end:
            loop = asyncio.get_running_loop()
            self._reading = loop.run_in_executor(self._threads, self._read)

    def _add(self, entry: Entry) -> None:
        if isinstance(entry, Item):
            self._window.push(entry)
        else:
            self._malformed.append(entry)

    def _read(self) -> list[Entry]:
        """Return the next entries that are to be processed, in a thread."""
        if self._iterator is None:
            self._iterator = self._source.items()
        entries = list(itertools.islice(self._iterator, READ_ITEMS))
        self._is_at_end = len(entries) < READ_ITEMS
        return [new for entry in entries if (new := self._if_new(entry)) is not None]

    def _if_new(self, entry: Entry) -> Entry | None:
        self._num_read += 1
        flags = self._flags(entry)
        if flags & SEEN:
            entry = self._duplicate(entry)
            flags = self._flags(entry)
        if flags & FINISHED:
            self.num_skipped += 1
            self.num_failed_before += bool(flags & FAILED)
            return None
        return entry

    def _flags(self, entry: Entry) -> int:
        return 0 if self._keys is None else self._keys.add(entry.key, SEEN)

    def _duplicate(self, entry: Entry) -> Malformed:
        """Return the entry for a key that the source lists twice, under a key of its own."""
        message = f"an earlier entry has the key {entry.key!r}; keys must be unique"
        return Malformed(f"{entry.key} (entry {self._num_read})", message)
