"""Who holds which tokens of the KV pool: prefixes, tails, and what was said before.

A sequence takes its tail, and its prefix unless an equal one is there. When it is
over, its tail stays as history: a chat that goes on, or the same question again,
copies the part it shares. What nobody uses is given up when room is needed, the
longest unused first.

Pure.
"""

from collections import abc
from dataclasses import dataclass

from flamingo_pod.engine.extents import Extent, ExtentPool
from flamingo_pod.engine.sequence import Prefix, Sequence

MAX_HISTORIES = 4096


@dataclass(frozen=True, slots=True)
class Copy:
    """KV of `num_tokens` to be copied from one place of the pool to another."""

    source: int
    target: int
    num_tokens: int


@dataclass(eq=False, slots=True)
class History:
    """The tail of a sequence that is over."""

    prefix_key: bytes
    ids: tuple[int, ...]
    extent: Extent
    used_s: float


class Memory:
    """The pool, and all that lies in it."""

    def __init__(self, num_tokens: int) -> None:
        self.pool = ExtentPool(num_tokens)
        self.prefixes: dict[bytes, Prefix] = {}
        self.histories: list[History] = []

    def admit(self, sequence: Sequence, *, now_s: float) -> list[Copy] | None:
        """Give `sequence` its extents; return what is to be copied, or None if there is no room.

        What nobody uses is given up as far as it must be.
        """
        shared = self._shared(sequence)
        needed = sequence.num_tail + (0 if shared else sequence.num_prefix)
        history, num_same = self._longest_history(sequence)
        run = self._take(needed, kept={id(shared), id(history)})
        if run is None and history is not None:
            history, num_same = None, 0
            run = self._take(needed, kept={id(shared)})
        if run is None:
            return None
        self._hold(sequence, shared, run, now_s)
        return self._reuse(sequence, history, num_same, now_s)

    def release(self, sequence: Sequence, *, now_s: float, is_kept: bool) -> None:
        """Take back what `sequence` holds; `is_kept` leaves its tail as history."""
        prefix, tail = sequence.prefix, sequence.tail
        sequence.prefix = sequence.tail = None
        if tail is not None:
            self._give_up_tail(sequence, tail, prefix, now_s, is_kept=is_kept)
        sequence.num_tail_computed = 0
        if prefix is not None:
            prefix.num_users -= 1
            prefix.used_s = now_s
            if not prefix.num_users and not prefix.is_computed:
                self._drop_prefix(prefix)

    @property
    def num_reserved(self) -> int:
        """Tokens that running sequences hold; the rest is free or can be given up."""
        unused = sum(p.num_tokens for p in self.prefixes.values() if not p.num_users)
        past = sum(history.extent.length for history in self.histories)
        return self.pool.num_tokens - self.pool.num_free - unused - past

    def _shared(self, sequence: Sequence) -> Prefix | None:
        return self.prefixes.get(sequence.prefix_of.key) if sequence.prefix_of else None

    def _hold(self, sequence: Sequence, shared: Prefix | None, run: Extent, now_s: float) -> None:
        prefix = shared
        if prefix is None and sequence.prefix_of is not None:
            prefix = sequence.prefix_of
            # Prefix and tail side by side: their first user reads one run, not two.
            prefix.extent, run = run.split(prefix.num_tokens)
            self.prefixes[prefix.key] = prefix
        sequence.prefix, sequence.tail = prefix, run
        sequence.num_tail_computed = 0
        if prefix is not None:
            prefix.num_users += 1
            prefix.used_s = now_s

    def _reuse(
        self, sequence: Sequence, history: History | None, num_same: int, now_s: float
    ) -> list[Copy]:
        if sequence.prefix is not None:
            sequence.num_reused = sequence.prefix.num_computed
        if history is None or sequence.tail is None:
            return []
        history.used_s = now_s
        sequence.num_tail_computed = num_same
        sequence.num_reused += num_same
        return [Copy(history.extent.start, sequence.tail.start, num_same)]

    def _longest_history(self, sequence: Sequence) -> tuple[History | None, int]:
        """Return the history that shares the most tokens after the prefix, and how many."""
        shared = self._shared(sequence)
        if sequence.prefix_of is not None and (shared is None or not shared.is_computed):
            return None, 0
        key = sequence.context
        # The last token is computed in any case: its logits choose the next.
        wanted = sequence.ids(sequence.num_prefix, sequence.num_tokens - 1)
        same = ((_num_same(h.ids, wanted), h) for h in self.histories if h.prefix_key == key)
        num_same, history = max(same, key=lambda pair: pair[0], default=(0, None))
        return (history, num_same) if num_same else (None, 0)

    def _take(self, num_tokens: int, kept: abc.Set[int]) -> Extent | None:
        """Take a run, giving up what nobody uses, the longest unused first."""
        run = self.pool.take(num_tokens)
        if run is not None or num_tokens > self.pool.num_tokens:
            return run
        for unused in self._unused(kept):
            self._drop(unused)
            run = self.pool.take(num_tokens)
            if run is not None:
                return run
        return None

    def _unused(self, kept: abc.Set[int]) -> list[Prefix | History]:
        prefixes = [prefix for prefix in self.prefixes.values() if not prefix.num_users]
        unused: list[Prefix | History] = [*prefixes, *self.histories]
        unused = [item for item in unused if id(item) not in kept]
        return sorted(unused, key=lambda item: item.used_s)

    def _drop(self, item: Prefix | History) -> None:
        if isinstance(item, Prefix):
            self._drop_prefix(item)
        elif item in self.histories:  # it may have gone with its prefix
            self.histories.remove(item)
            self.pool.give_back(item.extent)

    def _drop_prefix(self, prefix: Prefix) -> None:
        assert prefix.extent is not None
        del self.prefixes[prefix.key]
        self.pool.give_back(prefix.extent)
        prefix.extent, prefix.num_computed, prefix.num_windows_ready = None, 0, 0
        for history in [h for h in self.histories if h.prefix_key == prefix.key]:
            self._drop(history)  # it cannot be read without what stood before it

    def _give_up_tail(
        self,
        sequence: Sequence,
        tail: Extent,
        prefix: Prefix | None,
        now_s: float,
        *,
        is_kept: bool,
    ) -> None:
        num_kept = sequence.num_tail_computed if is_kept else 0
        if prefix is not None and not prefix.is_computed:
            num_kept = 0
        past, rest = tail.split(num_kept)
        self.pool.give_back(rest)
        if not num_kept:
            return
        start = sequence.num_prefix
        ids = tuple(sequence.ids(start, start + num_kept))
        # What this one says in full need not be kept twice.
        for history in [h for h in self.histories if h.prefix_key == sequence.context]:
            if history.ids == ids[: len(history.ids)]:
                self._drop(history)
        self.histories.append(History(sequence.context, ids, past, now_s))
        if len(self.histories) > MAX_HISTORIES:
            self._drop(min(self.histories, key=lambda history: history.used_s))


def _num_same(first: abc.Sequence[int], second: abc.Sequence[int]) -> int:
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return number
    return min(len(first), len(second))
