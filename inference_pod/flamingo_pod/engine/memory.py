"""The KV cache manager: which sequence owns which token slots, and what stays cached.

How it works: the pool's slots are handed out as extents (`extents.py`). On admission a sequence
gets a *tail* of its own, long enough for the rest of its prompt and `max_tokens` of output, and a
*prefix*: the prompt up to the end of its clip, reference-counted and shared by all sequences with
an equal key. Prefix and tail of its first user lie side by side, so attention reads one run.

When a sequence finishes, its prefix stays cached, and so does the computed part of its tail, as a
`CachedTail`. A later sequence with the same sharing key (same clip, or same salt without a clip)
copies the longest matching beginning of a cached or running tail into its own; that is how a
follow-up question, or another choice of the same prompt, skips its prefill.

Memory that no running sequence uses is evicted when an allocation needs it, the least recently
used first; evicting a prefix evicts the cached tails behind it, which cannot be read without it.
A prefix whose KV may be wrong (a step failed on it) is *invalidated*: no further sequence shares
it, and it is freed with its last user.

vLLM's counterpart is `KVCacheManager`, with blocks for extents.

Pure.
"""

from collections import abc
from dataclasses import dataclass

from flamingo_pod.engine.extents import Extent, ExtentPool
from flamingo_pod.engine.sequence import Prefix, Sequence

MAX_CACHED_TAILS = 4096


@dataclass(frozen=True, slots=True)
class KvCopy:
    """Copy the KV of `num_tokens` consecutive slots from `source` to `target`."""

    source: int
    target: int
    num_tokens: int


@dataclass(eq=False, slots=True)
class CachedTail:
    """The computed tail of a finished sequence."""

    sharing_key: bytes
    ids: tuple[int, ...]
    extent: Extent
    used_s: float


@dataclass(frozen=True, slots=True)
class _ComputedTail:
    """Computed KV behind a sharing key, of a finished or a running sequence."""

    ids: abc.Sequence[int] = ()
    start: int = 0
    """Its first slot."""
    cached: CachedTail | None = None
    """Of a finished sequence."""


@dataclass(frozen=True, slots=True)
class _TailMatch:
    """KV that a new tail can begin with."""

    start: int = 0
    num_tokens: int = 0
    cached: CachedTail | None = None


class KvCacheManager:
    """The pool, and everything allocated from it."""

    def __init__(
        self, num_tokens: int, on_change: abc.Callable[[bytes, bool], None] = lambda *_: None
    ) -> None:
        self.pool = ExtentPool(num_tokens)
        self.prefixes: dict[bytes, Prefix] = {}
        """Those that can be shared, by key."""
        self.cached_tails: list[CachedTail] = []
        self.running: list[Sequence] = []
        """Sequences that have extents."""
        self.on_change = on_change
        """Called with a prefix's key and whether it can be shared from now on."""

    def allocate(self, sequence: Sequence, *, now_s: float) -> list[KvCopy] | None:
        """Allocate the extents of `sequence`; return the KV to copy into them, None without room.

        Cached extents are evicted as far as needed.
        """
        shared = self._shared_prefix(sequence)
        needed = sequence.tail_capacity + (0 if shared else sequence.num_prefix)
        match = self._longest_match(sequence)
        extent = self._allocate_evicting(needed, kept={id(shared), id(match.cached)})
        if extent is None and match.cached is not None:
            match = _TailMatch()
            extent = self._allocate_evicting(needed, kept={id(shared)})
        if extent is None:
            return None
        self._assign(sequence, shared, extent, now_s)
        return self._reuse(sequence, match, now_s)

    def free(self, sequence: Sequence, *, now_s: float, is_kept: bool) -> None:
        """Free the extents of `sequence`; `is_kept` leaves its computed tail cached."""
        prefix, tail = sequence.prefix, sequence.tail
        if tail is not None:
            self.running.remove(sequence)
            num_kept = sequence.num_tail_computed if is_kept and self._is_valid(prefix) else 0
            self._cache_tail(sequence, tail, num_kept, now_s)
        sequence.prefix = sequence.tail = None
        sequence.num_tail_computed = 0
        if prefix is not None:
            self._release_prefix(prefix, now_s)

    def invalidate(self, prefix: Prefix) -> None:
        """Stop sharing a prefix whose KV may be wrong; it is freed with its last user."""
        if self.prefixes.get(prefix.key) is prefix:
            self._unregister(prefix)
            self._evict_tails_of(prefix)
            if not prefix.num_users:
                self._free_prefix(prefix)

    @property
    def num_tokens_used(self) -> int:
        """Slots of running sequences; all others are free or can be evicted."""
        prefixes = {id(s.prefix): s.num_prefix for s in self.running if s.prefix is not None}
        tails = [s.tail.length for s in self.running if s.tail is not None]
        return sum(prefixes.values()) + sum(tails)

    def _shared_prefix(self, sequence: Sequence) -> Prefix | None:
        return self.prefixes.get(sequence.own_prefix.key) if sequence.own_prefix else None

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
        sequence.num_tail_computed = 0
        self.running.append(sequence)
        if prefix is not None:
            prefix.num_users += 1
            prefix.used_s = now_s

    def _reuse(self, sequence: Sequence, match: _TailMatch, now_s: float) -> list[KvCopy]:
        """Count the cached tokens of a sequence; return the copy of the matching tail."""
        if sequence.prefix is not None:
            sequence.num_cached_tokens = sequence.prefix.num_computed
        if not match.num_tokens or sequence.tail is None:
            return []
        if match.cached is not None:
            match.cached.used_s = now_s
        sequence.num_tail_computed = match.num_tokens
        sequence.num_cached_tokens += match.num_tokens
        return [KvCopy(match.start, sequence.tail.start, match.num_tokens)]

    def _longest_match(self, sequence: Sequence) -> _TailMatch:
        """Return the computed tail that shares the most tokens with the sequence's."""
        shared = self._shared_prefix(sequence)
        if sequence.own_prefix is not None and (shared is None or not shared.is_computed):
            return _TailMatch()
        # The last token is computed in any case: the next one is sampled from its logits.
        wanted = sequence.ids(sequence.num_prefix, sequence.num_tokens - 1)
        matches = (
            _TailMatch(tail.start, _num_common(tail.ids, wanted), tail.cached)
            for tail in self._computed_tails(sequence.sharing_key)
        )
        return max(matches, key=lambda match: match.num_tokens, default=_TailMatch())

    def _computed_tails(self, sharing_key: bytes) -> abc.Iterator[_ComputedTail]:
        for cached in self.cached_tails:
            if cached.sharing_key == sharing_key:
                yield _ComputedTail(cached.ids, cached.extent.start, cached)
        for running in self.running:
            if running.sharing_key == sharing_key and running.tail is not None:
                start = running.num_prefix
                ids = running.ids(start, start + running.num_tail_computed)
                yield _ComputedTail(ids, running.tail.start)

    def _allocate_evicting(self, num_tokens: int, kept: abc.Set[int]) -> Extent | None:
        """Allocate an extent, evicting all but those whose `id` is in `kept`, if necessary."""
        extent = self.pool.allocate(num_tokens)
        if extent is not None or num_tokens > self.pool.num_tokens:
            return extent
        for item in self._evictable(kept):
            self._evict(item)
            extent = self.pool.allocate(num_tokens)
            if extent is not None:
                return extent
        return None

    def _evictable(self, kept: abc.Set[int]) -> list[Prefix | CachedTail]:
        """Return what no running sequence uses, the least recently used first."""
        prefixes = [prefix for prefix in self.prefixes.values() if not prefix.num_users]
        items: list[Prefix | CachedTail] = [*prefixes, *self.cached_tails]
        items = [item for item in items if id(item) not in kept]
        return sorted(items, key=lambda item: item.used_s)

    def _evict(self, item: Prefix | CachedTail) -> None:
        if isinstance(item, Prefix):
            self._evict_prefix(item)
        elif item in self.cached_tails:  # it may have been evicted with its prefix
            self.cached_tails.remove(item)
            self.pool.free(item.extent)

    def _evict_prefix(self, prefix: Prefix) -> None:
        self._unregister(prefix)
        self._evict_tails_of(prefix)
        self._free_prefix(prefix)

    def _evict_tails_of(self, prefix: Prefix) -> None:
        """Evict the cached tails behind a prefix: they cannot be read without it."""
        for tail in self._cached_tails_of(prefix.key):
            self._evict(tail)

    def _cached_tails_of(self, sharing_key: bytes) -> list[CachedTail]:
        return [tail for tail in self.cached_tails if tail.sharing_key == sharing_key]

    def _unregister(self, prefix: Prefix) -> None:
        del self.prefixes[prefix.key]
        self.on_change(prefix.key, False)

    def _release_prefix(self, prefix: Prefix, now_s: float) -> None:
        prefix.num_users -= 1
        prefix.used_s = now_s
        if prefix.num_users:
            return
        if self.prefixes.get(prefix.key) is not prefix:
            self._free_prefix(prefix)  # it was invalidated
        elif not prefix.is_computed:
            self._evict_prefix(prefix)

    def _free_prefix(self, prefix: Prefix) -> None:
        assert prefix.extent is not None
        self.pool.free(prefix.extent)
        prefix.extent, prefix.num_computed, prefix.num_windows_ready = None, 0, 0

    def _is_valid(self, prefix: Prefix | None) -> bool:
        """Whether KV behind it can be reused: it is fully computed and not invalidated."""
        if prefix is None:
            return True
        return prefix.is_computed and self.prefixes.get(prefix.key) is prefix

    def _cache_tail(self, sequence: Sequence, tail: Extent, num_kept: int, now_s: float) -> None:
        """Keep the first `num_kept` tokens of a tail cached, and free the rest."""
        computed, rest = tail.split(num_kept)
        self.pool.free(rest)
        if not num_kept:
            return
        start, key = sequence.num_prefix, sequence.sharing_key
        ids = tuple(sequence.ids(start, start + num_kept))
        # A cached tail that this one begins with is redundant.
        for cached in self._cached_tails_of(key):
            if cached.ids == ids[: len(cached.ids)]:
                self._evict(cached)
        self.cached_tails.append(CachedTail(key, ids, computed, now_s))
        if len(self.cached_tails) > MAX_CACHED_TAILS:
            self._evict(min(self.cached_tails, key=lambda cached: cached.used_s))


def _num_common(first: abc.Sequence[int], second: abc.Sequence[int]) -> int:
    """Return the length of the longest common beginning."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))
