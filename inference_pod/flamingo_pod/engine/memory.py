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
class KvCopy:
    """KV of `num_tokens` to be copied from one place of the pool to another."""

    source: int
    target: int
    num_tokens: int


@dataclass(eq=False, slots=True)
class CachedTail:
    """The tail of a sequence that is over."""

    prefix_key: bytes
    ids: tuple[int, ...]
    extent: Extent
    used_s: float


@dataclass(frozen=True, slots=True)
class _TailMatch:
    """KV that a new tail begins with: of one that is over, or of one that still runs."""

    start: int = 0
    num_tokens: int = 0
    history: CachedTail | None = None


class KvCacheManager:
    """The pool, and all that lies in it."""

    def __init__(
        self, num_tokens: int, on_change: abc.Callable[[bytes, bool], None] = lambda *_: None
    ) -> None:
        self.pool = ExtentPool(num_tokens)
        self.prefixes: dict[bytes, Prefix] = {}
        self.histories: list[CachedTail] = []
        self.held: list[Sequence] = []
        """Those that have extents."""
        self.on_change = on_change
        """Told a prefix's key, and whether it can be shared from now on."""

    def admit(self, sequence: Sequence, *, now_s: float) -> list[KvCopy] | None:
        """Give `sequence` its extents; return what is to be copied, or None if there is no room.

        What nobody uses is given up as far as it must be.
        """
        shared = self._shared(sequence)
        needed = sequence.num_tail + (0 if shared else sequence.num_prefix)
        same = self._most_same(sequence)
        run = self._take(needed, kept={id(shared), id(same.history)})
        if run is None and same.history is not None:
            same = _TailMatch()
            run = self._take(needed, kept={id(shared)})
        if run is None:
            return None
        self._hold(sequence, shared, run, now_s)
        return self._reuse(sequence, same, now_s)

    def release(self, sequence: Sequence, *, now_s: float, is_kept: bool) -> None:
        """Take back what `sequence` holds; `is_kept` leaves its tail as history."""
        prefix, tail = sequence.prefix, sequence.tail
        sequence.prefix = sequence.tail = None
        if tail is not None:
            self.held.remove(sequence)
            self._give_up_tail(sequence, tail, prefix, now_s, is_kept=is_kept)
        sequence.num_tail_computed = 0
        if prefix is not None:
            prefix.num_users -= 1
            prefix.used_s = now_s
            if prefix.num_users:
                return
            if self.prefixes.get(prefix.key) is not prefix:
                self._free(prefix)  # it was distrusted
            elif not prefix.is_computed:
                self._drop_prefix(prefix)

    def distrust(self, prefix: Prefix) -> None:
        """Let nobody new share a prefix whose KV may be bad; it goes with its last user."""
        if self.prefixes.get(prefix.key) is prefix:
            self._unlist(prefix)
            self._drop_histories(prefix)
            if not prefix.num_users:
                self._free(prefix)

    @property
    def num_reserved(self) -> int:
        """Tokens that running sequences hold; the rest is free or can be given up."""
        shared = {id(s.prefix): s.num_prefix for s in self.held if s.prefix is not None}
        return sum(shared.values()) + sum(s.tail.length for s in self.held if s.tail is not None)

    def _shared(self, sequence: Sequence) -> Prefix | None:
        return self.prefixes.get(sequence.prefix_of.key) if sequence.prefix_of else None

    def _hold(self, sequence: Sequence, shared: Prefix | None, run: Extent, now_s: float) -> None:
        prefix = shared
        if prefix is None and sequence.prefix_of is not None:
            prefix = sequence.prefix_of
            # Prefix and tail side by side: their first user reads one run, not two.
            prefix.extent, run = run.split(prefix.num_tokens)
            self.prefixes[prefix.key] = prefix
            self.on_change(prefix.key, True)
        sequence.prefix, sequence.tail = prefix, run
        sequence.num_tail_computed = 0
        self.held.append(sequence)
        if prefix is not None:
            prefix.num_users += 1
            prefix.used_s = now_s

    def _reuse(self, sequence: Sequence, same: _TailMatch, now_s: float) -> list[KvCopy]:
        if sequence.prefix is not None:
            sequence.num_cached_tokens = sequence.prefix.num_computed
        if not same.num_tokens or sequence.tail is None:
            return []
        if same.history is not None:
            same.history.used_s = now_s
        sequence.num_tail_computed = same.num_tokens
        sequence.num_cached_tokens += same.num_tokens
        return [KvCopy(same.start, sequence.tail.start, same.num_tokens)]

    def _most_same(self, sequence: Sequence) -> _TailMatch:
        """Return where the most tokens lie that the sequence has after its prefix."""
        shared = self._shared(sequence)
        if sequence.prefix_of is not None and (shared is None or not shared.is_computed):
            return _TailMatch()
        # The last token is computed in any case: its logits choose the next.
        wanted = sequence.ids(sequence.num_prefix, sequence.num_tokens - 1)
        found = (
            _TailMatch(start, _num_same(ids, wanted), history)
            for ids, start, history in self._tails(sequence.context)
        )
        return max(found, key=lambda same: same.num_tokens, default=_TailMatch())

    def _tails(
        self, context: bytes
    ) -> abc.Iterator[tuple[abc.Sequence[int], int, CachedTail | None]]:
        """Yield the computed tails behind `context`: their tokens, and where they lie."""
        for history in self.histories:
            if history.prefix_key == context:
                yield history.ids, history.extent.start, history
        for running in self.held:
            if running.context == context and running.tail is not None:
                start = running.num_prefix
                ids = running.ids(start, start + running.num_tail_computed)
                yield ids, running.tail.start, None

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

    def _unused(self, kept: abc.Set[int]) -> list[Prefix | CachedTail]:
        prefixes = [prefix for prefix in self.prefixes.values() if not prefix.num_users]
        unused: list[Prefix | CachedTail] = [*prefixes, *self.histories]
        unused = [item for item in unused if id(item) not in kept]
        return sorted(unused, key=lambda item: item.used_s)

    def _drop(self, item: Prefix | CachedTail) -> None:
        if isinstance(item, Prefix):
            self._drop_prefix(item)
        elif item in self.histories:  # it may have gone with its prefix
            self.histories.remove(item)
            self.pool.give_back(item.extent)

    def _unlist(self, prefix: Prefix) -> None:
        del self.prefixes[prefix.key]
        self.on_change(prefix.key, False)

    def _drop_prefix(self, prefix: Prefix) -> None:
        self._unlist(prefix)
        self._drop_histories(prefix)
        self._free(prefix)

    def _is_sound(self, prefix: Prefix) -> bool:
        """Whether others may go on from it: it is whole, and not distrusted."""
        return prefix.is_computed and self.prefixes.get(prefix.key) is prefix

    def _free(self, prefix: Prefix) -> None:
        assert prefix.extent is not None
        self.pool.give_back(prefix.extent)
        prefix.extent, prefix.num_computed, prefix.num_windows_ready = None, 0, 0

    def _drop_histories(self, prefix: Prefix) -> None:
        """Drop what was said behind a prefix: it cannot be read without what stood before it."""
        for history in [h for h in self.histories if h.prefix_key == prefix.key]:
            self._drop(history)

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
        if prefix is not None and not self._is_sound(prefix):
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
        self.histories.append(CachedTail(sequence.context, ids, past, now_s))
        if len(self.histories) > MAX_HISTORIES:
            self._drop(min(self.histories, key=lambda history: history.used_s))


def _num_same(first: abc.Sequence[int], second: abc.Sequence[int]) -> int:
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return number
    return min(len(first), len(second))
