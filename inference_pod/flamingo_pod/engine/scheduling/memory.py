"""The KV cache manager: which sequence owns which token slots, and what stays cached.

How it works: the pool's slots are handed out as extents (`extents.py`). On admission a sequence
gets a *tail* of its own, for the rest of its prompt and a first part of its output, and a *prefix*:
the prompt up to the end of its clip, reference-counted and shared by all sequences with an equal
key. Prefix and tail of its first user lie side by side, so attention reads one run.

A tail grows with the output. Where the slots behind it are free, it grows in place; otherwise it is
copied to a longer extent and the former one is freed.

When a sequence finishes, its prefix stays cached, and so does the computed part of its tail, as a
`CachedTail`. A later sequence copies the longest matching beginning of what is computed into its
own tail, or into its own prefix for the text before its clip (`reuse.py`); that is how a follow-up
question, another choice of the same prompt, or the same instructions before another clip skip
their prefill.

Memory that no running sequence uses is evicted when an allocation needs it, the least recently
used first; evicting a prefix evicts the cached tails behind it, which cannot be read without it.
Where enough slots are free, but not next to each other, extents are moved together
(`compaction.py`); a prefix that several running sequences read never moves.
A prefix whose KV may be wrong (a step failed on it) is *invalidated*: no further sequence shares
it or copies from it, and it is freed with its last user.

vLLM's counterpart is `KVCacheManager`, with blocks for extents.

Pure.
"""

import functools
from collections import abc
from dataclasses import dataclass
from typing import TypeVar

from flamingo_pod.engine.scheduling.compaction import moves_for
from flamingo_pod.engine.scheduling.extents import Extent, ExtentPool
from flamingo_pod.engine.scheduling.reuse import CachedTail, Match, ReusableKv
from flamingo_pod.engine.scheduling.sequence import Prefix, Sequence

MAX_CACHED_TAILS = 4096
MIN_GROWTH_TOKENS = 32
"""A tail grows by no less in place, as long as it can grow by more elsewhere."""
COMPACTION_SHARE = 1 / 32
"""Extents are moved together as soon as the free slots exceed what is needed by this part of the
pool, so that moving little is enough. Until then cached extents are evicted."""
MAX_COPY_TOKENS = 2048
"""A copy needs a buffer of its size: 117 MB with the published model. Extents that overlap are only
moved towards the start, so their parts can be copied one after the other."""

Owner = Sequence | Prefix | CachedTail
"""What an extent is allocated for: a running sequence's tail, or itself."""

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class KvCopy:
    """Copy the KV of `num_tokens` consecutive slots from `source` to `target`.

    Both may overlap. The copies of a step are executed in order, and before anything else in it:
    the source of one may be the target of one before it, and part of the target of one after it.
    """

    source: int
    target: int
    num_tokens: int

    def halves(self) -> list["KvCopy"]:
        """Return two copies that do the same: where both extents overlap, it moves to the start."""
        half = self.num_tokens // 2
        rest = KvCopy(self.source + half, self.target + half, self.num_tokens - half)
        return [KvCopy(self.source, self.target, half), rest]


class KvCacheManager:
    """The pool, and everything allocated from it."""

    def __init__(
        self, num_tokens: int, on_change: abc.Callable[[bytes, bool], None] = lambda *_: None
    ) -> None:
        self.pool = ExtentPool(num_tokens)
        self.prefixes: dict[bytes, Prefix] = {}
        """Those that can be shared, by key."""
        self._unused_prefixes: dict[Prefix, None] = {}
        """Those of them that no running sequence reads, the least recently used first."""
        self._reusable = ReusableKv()
        self._copies: list[KvCopy] = []
        self.num_tokens_used = 0
        """Slots of running sequences; all others are free or can be evicted."""
        self.on_change = on_change
        """Called with a prefix's key and whether it can be shared from now on."""

    @property
    def cached_tails(self) -> abc.Collection[CachedTail]:
        """The computed tails of finished sequences, the least recently used first."""
        return self._reusable.cached_tails.keys()

    def allocate(
        self, sequence: Sequence, *, num_tail: int, now_s: float, num_spare: int = 0
    ) -> bool:
        """Allocate the extents of `sequence`, its tail `num_tail` slots long, or return False.

        Cached extents are evicted as far as needed. There must be room for `num_spare` more slots.
        """
        shared = self._shared_prefix(sequence)
        own = sequence.own_prefix
        if shared is None and own is not None and own.num_users:  # others still read it, though
            sequence.own_prefix = own.anew()  # it was invalidated while the sequence waited
        needed = num_tail + (0 if shared else sequence.num_prefix)
        if needed + _num_unused(shared) + num_spare > self.pool.num_tokens - self.num_tokens_used:
            return False
        source = self._longest_match(sequence, shared).source
        allocate = functools.partial(self.pool.allocate, needed)
        extent = self._make_room(needed, allocate, kept={id(shared), id(source)})
        if extent is None and source is not None:
            extent = self._make_room(needed, allocate, kept={id(shared)})
        if extent is None:
            return False
        match = self._longest_match(sequence, shared)  # as it may have been moved
        self._assign(sequence, shared, extent, now_s)
        self._reuse(sequence, match, now_s)
        return True

    def grow(self, sequence: Sequence, num_tokens: int) -> bool:
        """Make the tail of a running sequence up to `num_tokens` longer; False without room.

        Cached extents are evicted as far as needed.
        """
        assert sequence.tail is not None
        extend = functools.partial(self._extend, sequence, num_tokens)
        return bool(self._make_room(sequence.tail.length + num_tokens, extend, kept=frozenset()))

    def take_copies(self) -> list[KvCopy]:
        """Return the copies that have become necessary since the last call, in order."""
        copies, self._copies = self._copies, []
        return copies

    def free(self, sequence: Sequence, *, now_s: float, is_kept: bool) -> None:
        """Free the extents of `sequence`; `is_kept` leaves its computed tail cached."""
        prefix, tail = sequence.prefix, sequence.tail
        if tail is not None:
            self._reusable.remove_running(sequence)
            self.num_tokens_used -= tail.length
            num_kept = sequence.num_tail_computed if is_kept and self._is_valid(prefix) else 0
            self._cache_tail(sequence, tail, num_kept, now_s)
        sequence.prefix = sequence.tail = None
        sequence.num_slots = sequence.num_tail_computed = 0
        if prefix is not None:
            self._release_prefix(prefix, now_s)

    def record_computed(self, prefix: Prefix, num_tokens: int) -> None:
        """Record that the first `num_tokens` of a prefix are in the pool."""
        prefix.num_computed = num_tokens
        if prefix.audio_start and num_tokens >= prefix.audio_start and self._is_shared(prefix):
            self._reusable.add_text(prefix)

    def invalidate(self, prefix: Prefix) -> None:
        """Stop sharing a prefix whose KV may be wrong; it is freed with its last user."""
        if self._is_shared(prefix):
            self._unregister(prefix)
            self._evict_tails_of(prefix)
            if not prefix.num_users:
                self._free_prefix(prefix)

    def num_extents(self) -> dict[str, int]:
        """Return how many extents there are, by state."""
        return {
            "free": self.pool.num_free_extents,
            "prefix": len(self.prefixes),
            "running_tail": self._reusable.num_running,
            "cached_tail": len(self.cached_tails),
        }

    def _extend(self, sequence: Sequence, num_tokens: int) -> bool:
        """Make a tail longer, in place or by moving it."""
        tail = sequence.tail
        assert tail is not None
        at_least = min(num_tokens, MIN_GROWTH_TOKENS)
        behind = self.pool.allocate_after(tail.stop, at_least=at_least, at_most=num_tokens)
        if behind is not None:
            grown = Extent(tail.start, behind.stop)
        else:
            moved = self.pool.allocate(tail.length + num_tokens)
            if moved is None:
                return False
            grown = moved
            self._copy(tail.start, grown.start, sequence.num_tail_computed)
            self.pool.free(tail)
        sequence.tail, sequence.num_slots = grown, sequence.num_prefix + grown.length
        self.num_tokens_used += grown.length - tail.length
        return True

    def _copy(self, source: int, target: int, num_tokens: int) -> None:
        for at in range(0, num_tokens, MAX_COPY_TOKENS):
            num = min(MAX_COPY_TOKENS, num_tokens - at)
            self._copies.append(KvCopy(source + at, target + at, num))

    def _make_room(self, num_tokens: int, attempt: abc.Callable[[], R], kept: abc.Set[int]) -> R:
        """Return what `attempt` returns, once it is not empty or nothing is left to be done.

        Cached extents are evicted, but for those whose `id` is in `kept`, and when with them enough
        slots are free, these are moved together.
        """
        num_enough = num_tokens + int(COMPACTION_SHARE * self.pool.num_tokens)
        while not (result := attempt()):
            if self.pool.num_free >= num_enough:
                self._compact(num_tokens)
                num_enough = self.pool.num_tokens + 1
            elif (item := self._least_recently_used(kept)) is not None:
                self._evict(item)
            elif self.pool.num_free >= num_tokens:
                self._compact(num_tokens)
                return attempt()
            else:
                break
        return result

    def _compact(self, num_tokens: int) -> None:
        """Move extents so that `num_tokens` free slots are one extent, if possible."""
        owners = {_extent(owner): owner for owner in self._owners()}
        places = [(extent, _is_movable(owners[extent])) for extent in sorted(owners)]
        for source, target in moves_for(num_tokens, places, self.pool.num_tokens):
            self.pool.free(source)
            length = target.length
            taken = self.pool.allocate_after(target.start, at_least=length, at_most=length)
            assert taken == target
            self._move(owners[source], source, target)

    def _owners(self) -> list[Owner]:
        """Return whatever an extent is allocated for."""
        running = self._reusable.running_sequences()
        used = {sequence.prefix: None for sequence in running if sequence.prefix is not None}
        return [*running, *(used | self._unused_prefixes), *self.cached_tails]

    def _move(self, owner: Owner, source: Extent, target: Extent) -> None:
        if isinstance(owner, Sequence):
            self._copy(source.start, target.start, owner.num_tail_computed)
            owner.tail = target
        else:
            num_computed = owner.num_computed if isinstance(owner, Prefix) else source.length
            self._copy(source.start, target.start, num_computed)
            owner.extent = target

    def _shared_prefix(self, sequence: Sequence) -> Prefix | None:
        return self.prefixes.get(sequence.own_prefix.key) if sequence.own_prefix else None

    def _is_shared(self, prefix: Prefix) -> bool:
        return self.prefixes.get(prefix.key) is prefix

    def _assign(
        self, sequence: Sequence, shared: Prefix | None, extent: Extent, now_s: float
    ) -> None:
        prefix = shared
        if prefix is None and sequence.own_prefix is not None:
            prefix = sequence.own_prefix
            # Prefix and tail side by side: their first user reads one run, not two.
            prefix.extent, extent = extent.split(prefix.num_tokens)
            self.prefixes[prefix.key] = prefix
            self.on_change(prefix.key, True)
        sequence.prefix, sequence.tail = prefix, extent
        sequence.num_slots, sequence.num_tail_computed = sequence.num_prefix + extent.length, 0
        self._reusable.add_running(sequence)
        self.num_tokens_used += extent.length
        if prefix is not None:
            self.num_tokens_used += _num_unused(prefix)
            self._unused_prefixes.pop(prefix, None)
            prefix.num_users += 1
            prefix.used_s = now_s

    def _longest_match(self, sequence: Sequence, shared: Prefix | None) -> Match:
        """Return the KV that the sequence's own part of its prompt can begin with."""
        own = sequence.own_prefix
        if own is None or (shared is not None and shared.is_computed):
            return self._reusable.tail_match(sequence)
        if shared is not None:
            return Match()
        own.salt, own.text = sequence.salt, sequence.encoded(0, own.audio_start)
        return self._reusable.text_match(own)

    def _reuse(self, sequence: Sequence, match: Match, now_s: float) -> None:
        """Copy the matching KV, and count the cached tokens of a sequence."""
        prefix, target = sequence.prefix, sequence.tail
        if match.num_tokens and prefix is not None and not prefix.is_computed:
            target = prefix.extent
            self.record_computed(prefix, match.num_tokens)
        elif match.num_tokens:
            sequence.num_tail_computed = match.num_tokens
        if not sequence.num_preemptions:  # later it may copy what it has computed itself
            sequence.num_cached_tokens = sequence.num_computed
        assert target is not None
        self._copy(match.start, target.start, match.num_tokens)
        if isinstance(match.source, CachedTail):
            self._reusable.touch(match.source, now_s)
        # A prefix is not kept longer for its text: many others begin with the same.

    def _least_recently_used(self, kept: abc.Set[int]) -> Prefix | CachedTail | None:
        """Return what no running sequence uses, the least recently used first."""
        prefix = next((each for each in self._unused_prefixes if id(each) not in kept), None)
        tail = next((each for each in self.cached_tails if id(each) not in kept), None)
        if prefix is None or tail is None:
            return prefix or tail
        return prefix if prefix.used_s <= tail.used_s else tail

    def _evict(self, item: Prefix | CachedTail) -> None:
        if isinstance(item, CachedTail):
            self._reusable.remove_tail(item)
            self.pool.free(item.extent)
        else:
            self._unregister(item)
            self._evict_tails_of(item)
            self._free_prefix(item)

    def _evict_tails_of(self, prefix: Prefix) -> None:
        """Evict the cached tails behind a prefix: they cannot be read without it."""
        for tail in self._reusable.tails_behind(prefix.key):
            self._evict(tail)

    def _unregister(self, prefix: Prefix) -> None:
        del self.prefixes[prefix.key]
        self._unused_prefixes.pop(prefix, None)
        self._reusable.remove_text(prefix)
        self.on_change(prefix.key, False)

    def _release_prefix(self, prefix: Prefix, now_s: float) -> None:
        prefix.num_users -= 1
        prefix.used_s = now_s
        if prefix.num_users:
            return
        self.num_tokens_used -= prefix.num_tokens
        if not self._is_shared(prefix):
            self._free_prefix(prefix)  # it was invalidated
        elif prefix.is_computed:
            self._unused_prefixes[prefix] = None
        else:
            self._evict(prefix)

    def _free_prefix(self, prefix: Prefix) -> None:
        assert prefix.extent is not None
        self.pool.free(prefix.extent)
        prefix.extent, prefix.num_computed, prefix.num_windows_ready = None, 0, 0

    def _is_valid(self, prefix: Prefix | None) -> bool:
        """Whether KV behind it can be reused: it is fully computed and not invalidated."""
        return prefix is None or (prefix.is_computed and self._is_shared(prefix))

    def _cache_tail(self, sequence: Sequence, tail: Extent, num_kept: int, now_s: float) -> None:
        """Keep the first `num_kept` tokens of a tail cached, and free the rest."""
        computed, rest = tail.split(num_kept)
        self.pool.free(rest)
        if not num_kept:
            return
        key, ids = sequence.sharing_key, sequence.encoded_tail(num_kept)
        cached = CachedTail(key, ids, computed, now_s)
        if (shorter := self._reusable.tail_beginning(key, ids)) is not None:
            self._evict(shorter)
        if not self._reusable.add_tail(cached):
            self.pool.free(computed)
        elif len(self.cached_tails) > MAX_CACHED_TAILS:
            self._evict(next(iter(self.cached_tails)))


def _extent(owner: Owner) -> Extent:
    extent = owner.tail if isinstance(owner, Sequence) else owner.extent
    assert extent is not None
    return extent


def _is_movable(owner: Owner) -> bool:
    return not isinstance(owner, Prefix) or owner.num_users <= 1


def _num_unused(prefix: Prefix | None) -> int:
    """Return the slots of a prefix that count as used only from its next user on."""
    return prefix.num_tokens if prefix is not None and not prefix.num_users else 0
