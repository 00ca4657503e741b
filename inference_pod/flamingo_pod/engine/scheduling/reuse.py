"""Which computed KV a new sequence can begin with, instead of computing it again.

How it works: KV depends on all that precedes it, and clips differ in their audio but not in their
tokens. So a tail may begin like any other tail behind the same *sharing key*: the same clip and
what precedes it, or the same salt where no audio precedes it. Text before a clip may begin like any
text of its salt that no audio precedes: a tail without a prefix, or the text before another clip.

Cached tails and such texts are kept in order (`beginnings.py`), so neither a match nor an eviction
searches them. No cached tail begins with another one: the shorter would be redundant. Running
tails grow, and there are few; they are compared one by one.

Pure.
"""

from dataclasses import dataclass

from flamingo_pod.engine.scheduling.beginnings import TOKEN_BYTES, Beginnings, num_common
from flamingo_pod.engine.scheduling.extents import Extent
from flamingo_pod.engine.scheduling.sequence import Prefix, Sequence


@dataclass(eq=False, slots=True)
class CachedTail:
    """The computed tail of a finished sequence."""

    sharing_key: bytes
    ids: bytes
    """Encoded."""
    extent: Extent
    used_s: float


@dataclass(frozen=True, slots=True)
class Match:
    """Computed KV that a new tail or prefix can begin with."""

    num_tokens: int = 0
    start: int = 0
    """Its first slot."""
    source: CachedTail | Prefix | None = None
    """What holds it, unless that is the tail of a running sequence."""


class ReusableKv:
    """All computed KV that can be copied."""

    def __init__(self) -> None:
        self.cached_tails: dict[CachedTail, None] = {}
        """The least recently used first."""
        self._tails: dict[bytes, Beginnings[CachedTail]] = {}
        """By sharing key."""
        self._texts: dict[bytes, Beginnings[Prefix]] = {}
        """The computed texts before clips, by salt."""
        self._running: dict[bytes, dict[Sequence, None]] = {}
        """By sharing key."""
        self.num_running = 0

    def tail_match(self, sequence: Sequence) -> Match:
        """Return what the tail of a sequence can begin with; its prefix is computed."""
        # The last token is computed in any case: the next one is sampled from its logits.
        wanted = sequence.encoded_tail(sequence.num_tokens - 1 - sequence.num_prefix)
        return self._longest(sequence.sharing_key, wanted, is_text=sequence.own_prefix is None)

    def text_match(self, prefix: Prefix) -> Match:
        """Return what the text before a clip can begin with."""
        return self._longest(prefix.salt, prefix.text, is_text=True)

    def add_tail(self, tail: CachedTail) -> bool:
        """Add a tail, or else, if one begins with it, make that the last used."""
        tails = self._tails.setdefault(tail.sharing_key, Beginnings())
        longer = tails.extension_of(tail.ids)
        if longer is not None:
            self.touch(longer, tail.used_s)
            return False
        tails.add(tail.ids, tail)
        self.cached_tails[tail] = None
        return True

    def remove_tail(self, tail: CachedTail) -> None:
        """Remove a cached tail."""
        del self.cached_tails[tail]
        tails = self._tails[tail.sharing_key]
        tails.remove(tail)
        if not tails:
            del self._tails[tail.sharing_key]

    def touch(self, tail: CachedTail, now_s: float) -> None:
        """Make a cached tail the last used."""
        tail.used_s = now_s
        del self.cached_tails[tail]
        self.cached_tails[tail] = None

    def tails_behind(self, sharing_key: bytes) -> list[CachedTail]:
        """Return the cached tails behind a sharing key."""
        return list(self._tails.get(sharing_key, ()))

    def tail_beginning(self, sharing_key: bytes, ids: bytes) -> CachedTail | None:
        """Return the cached tail with which encoded tokens begin."""
        tails = self._tails.get(sharing_key)
        return None if tails is None else tails.beginning_of(ids)

    def add_text(self, prefix: Prefix) -> None:
        """Add the text before a clip, once its KV is computed. Idempotent."""
        texts = self._texts.setdefault(prefix.salt, Beginnings())
        if prefix not in texts:
            texts.add(prefix.text, prefix)

    def remove_text(self, prefix: Prefix) -> None:
        """Remove the text before a clip, if it was added."""
        texts = self._texts.get(prefix.salt)
        if texts is not None and prefix in texts:
            texts.remove(prefix)
            if not texts:
                del self._texts[prefix.salt]

    def add_running(self, sequence: Sequence) -> None:
        """Add a running sequence; as much of its tail can be copied as is computed."""
        self._running.setdefault(sequence.sharing_key, {})[sequence] = None
        self.num_running += 1

    def remove_running(self, sequence: Sequence) -> None:
        """Remove a sequence that runs no more."""
        running = self._running[sequence.sharing_key]
        del running[sequence]
        self.num_running -= 1
        if not running:
            del self._running[sequence.sharing_key]

    def running_sequences(self) -> list[Sequence]:
        """Return all running sequences."""
        return [sequence for running in self._running.values() for sequence in running]

    def _longest(self, sharing_key: bytes, wanted: bytes, *, is_text: bool) -> Match:
        matches = [_cached_match(self._tails.get(sharing_key), wanted)]
        if is_text:
            matches.append(_text_match(self._texts.get(sharing_key), wanted))
        matches += [_running_match(each, wanted) for each in self._running.get(sharing_key, ())]
        return max(matches, key=lambda match: match.num_tokens)


def _cached_match(tails: Beginnings[CachedTail] | None, wanted: bytes) -> Match:
    num, tail = (0, None) if tails is None else tails.longest_common(wanted)
    return Match() if tail is None else Match(num, tail.extent.start, tail)


def _text_match(texts: Beginnings[Prefix] | None, wanted: bytes) -> Match:
    num, prefix = (0, None) if texts is None else texts.longest_common(wanted)
    if prefix is None or prefix.extent is None:
        return Match()
    return Match(num, prefix.extent.start, prefix)


def _running_match(running: Sequence, wanted: bytes) -> Match:
    """Return what a running tail has in common; its output is compared only behind its prompt."""
    if running.tail is None or not running.num_tail_computed:
        return Match()
    computed = running.num_tail_computed
    num_prompt = min(running.num_prompt - running.num_prefix, computed)
    num = num_common(running.encoded_tail(num_prompt), wanted)
    if num == num_prompt < min(computed, len(wanted) // TOKEN_BYTES):
        num = num_common(running.encoded_tail(computed), wanted)
    return Match(num, running.tail.start)
