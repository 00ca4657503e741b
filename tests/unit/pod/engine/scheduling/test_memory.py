"""The KV cache manager alone: what is copied, and from where, against a search of everything."""

import itertools

import numpy as np
from fakes.effort import examples
from fakes.steps import num_steps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flamingo_pod.engine.scheduling.beginnings import encode
from flamingo_pod.engine.scheduling.memory import MAX_CACHED_TAILS, KvCacheManager
from flamingo_pod.engine.scheduling.sequence import Prefix, SamplingParams, Sequence

SOUND = 99
CLIPS = {b"one": 5, b"two": 3}
"""Audio tokens by clip."""


def sequence(number, before, clip, after, *, salt=b"", max_tokens=4):
    """Return a sequence: text, a clip or None, and text."""
    prefix = None
    audio = [SOUND] * CLIPS.get(clip, 0)
    if audio:
        key = salt + b"|" + bytes(before) + b"|" + clip
        prefix = Prefix(key, len(before) + len(audio), len(before), window_tokens=[len(audio)])
    ids, params = np.array([*before, *audio, *after], np.int32), SamplingParams(max_tokens)
    return Sequence(number, ids, params, 0.0, prefix, salt)


class World:
    """A manager, and the KV that a model would have written, which depends on all before it."""

    def __init__(self, num_tokens):
        self.manager = KvCacheManager(num_tokens)
        self.kv = [None] * num_tokens
        self.is_tight = num_tokens < 1000
        self.running: list[Sequence] = []
        self.numbers = itertools.count()
        self.now_s = 0.0

    def admit(self, *parts, num_output=4, **how):
        """Admit a sequence whose tail has slots for so many output tokens at first."""
        made = sequence(next(self.numbers), *parts, **how)
        num_tail = min(made.tail_capacity, made.num_tokens - made.num_prefix + num_output)
        self.now_s += 1
        expected = self.longest_match(made)
        is_allocated = self.manager.allocate(made, num_tail=num_tail, now_s=self.now_s)
        self.copy_kv()
        if not is_allocated:
            return None
        self.running.append(made)
        assert made.num_cached_tokens <= expected
        assert made.num_cached_tokens == expected or self.is_tight, "else nothing is evicted"
        return made

    def copy_kv(self):
        for copy in self.manager.take_copies():
            source = self.kv[copy.source : copy.source + copy.num_tokens]
            self.kv[copy.target : copy.target + copy.num_tokens] = source

    def longest_match(self, made):
        """Return the cached tokens of a sequence, by a comparison with all that is computed."""
        shared = self.manager.prefixes.get(made.own_prefix.key) if made.own_prefix else None
        if shared is not None and not shared.is_computed:
            return shared.num_computed
        is_new = made.own_prefix is not None and shared is None
        key = made.salt if is_new else made.sharing_key
        first = 0 if is_new else made.num_prefix
        last = made.own_prefix.audio_start if is_new else made.num_tokens - 1
        known = [np.frombuffer(t.ids, np.int32).tolist() for t in self.tails_of(key)]
        for other in self.running:
            if other.sharing_key == key:
                start = other.num_prefix
                known.append(other.ids(start, start + other.num_tail_computed))
        if key == made.salt:
            known += [
                np.frombuffer(prefix.text, np.int32).tolist()
                for prefix in self.manager.prefixes.values()
                if prefix.salt == key and prefix.num_computed >= prefix.audio_start
            ]
        wanted = made.ids(first, last)
        return first + max((in_common(each, wanted) for each in known), default=0)

    def tails_of(self, key):
        return [tail for tail in self.manager.cached_tails if tail.sharing_key == key]

    def compute(self, made, num_tokens):
        """Compute the next tokens of a sequence, and sample one after the last."""
        for at in range(made.num_computed, min(made.num_computed + num_tokens, made.num_tokens)):
            if at == made.num_slots and not self.grow(made, 2):
                return
            self.kv[self.slot(made, at)] = self.true_kv(made, at)
            if made.prefix is not None and not made.prefix.is_computed:
                self.manager.record_computed(made.prefix, at + 1)
            else:
                made.num_tail_computed += 1
        is_full = len(made.output_ids) >= made.params.max_tokens - 1
        if made.num_computed == made.num_tokens and not is_full:
            made.output_ids.append(made.number % 2 + 1)

    def grow(self, made, num_tokens):
        shared = {
            s.prefix: s.prefix.extent for s in self.running if s.prefix and s.prefix.num_users > 1
        }
        before = made.num_slots
        has_grown = self.manager.grow(made, min(num_tokens, made.num_growable))
        self.copy_kv()
        assert has_grown == (made.num_slots > before)
        assert all(prefix.extent == extent for prefix, extent in shared.items()), "it moved"
        return has_grown

    def slot(self, made, at):
        is_prefix = at < made.num_prefix
        extent, start = (made.prefix.extent, 0) if is_prefix else (made.tail, made.num_prefix)
        return extent.start + at - start

    def true_kv(self, made, at):
        has_heard = made.own_prefix is not None and at >= made.own_prefix.audio_start
        return (made.sharing_key if has_heard else made.salt, made.ids(0, at + 1).tolist())

    def end(self, made, *, is_kept):
        self.now_s += 1
        self.running.remove(made)
        self.manager.free(made, now_s=self.now_s, is_kept=is_kept)

    def check(self):
        for made in self.running:
            assert made.num_slots == made.num_prefix + made.tail.length
            for at in range(made.num_computed):
                assert self.kv[self.slot(made, at)] == self.true_kv(made, at), "another's KV"
        tails = list(self.manager.cached_tails)
        for one, other in itertools.permutations(tails, 2):
            assert one.sharing_key != other.sharing_key or not one.ids.startswith(other.ids)
        prefixes = {s.prefix for s in self.running if s.prefix is not None}
        used = sum(s.tail.length for s in self.running) + sum(p.num_tokens for p in prefixes)
        assert self.manager.num_tokens_used == used
        kept = prefixes | set(self.manager.prefixes.values())
        held = sum(s.tail.length for s in self.running) + sum(p.num_tokens for p in kept)
        held += sum(tail.extent.length for tail in tails)
        assert self.manager.pool.num_free == len(self.kv) - held
        assert [tail.used_s for tail in tails] == sorted(tail.used_s for tail in tails)


def in_common(one, other):
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in pairs)


texts = st.lists(st.sampled_from([1, 2]), min_size=1, max_size=6)
admissions = st.tuples(
    st.just("admit"),
    texts,
    st.sampled_from([None, None, *CLIPS]),
    texts,
    st.sampled_from([b"", b"other"]),
    st.integers(1, 4),
)
others = st.tuples(
    st.sampled_from(["compute", "compute", "compute", "keep", "drop", "invalidate"]),
    st.integers(0, 5),
    st.integers(1, 20),
)


@settings(max_examples=examples(500), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(admissions | others, max_size=60), st.sampled_from([45, 2000]))
def test_the_longest_computed_beginning_is_copied_and_nothing_else(actions, num_tokens):
    world = World(num_tokens)
    for verb, *rest in actions:
        if verb == "admit":
            before, clip, after, salt, num_output = rest
            world.admit(before, clip, after, salt=salt, num_output=num_output, max_tokens=12)
        elif rest[0] < len(world.running):
            made = world.running[rest[0]]
            if verb == "compute":
                world.compute(made, rest[1])
            elif verb == "invalidate" and made.prefix is not None:
                world.manager.invalidate(made.prefix)
                world.end(made, is_kept=False)
            else:
                world.end(made, is_kept=verb == "keep")
        world.check()
    for made in list(world.running):
        world.end(made, is_kept=True)
    world.check()
    assert world.manager.num_tokens_used == 0


def answered(world, *parts, **how):
    made = world.admit(*parts, **how)
    world.compute(made, 50)
    world.end(made, is_kept=True)
    return made


SYSTEM = [1, 2, 1, 1, 2]


def test_the_text_before_a_clip_is_copied_from_another_clips():
    world = World(200)
    answered(world, SYSTEM, b"one", [2])
    second = world.admit(SYSTEM, b"two", [1])
    assert (second.num_cached_tokens, second.prefix.num_computed) == (5, 5)


def test_the_text_before_a_clip_is_copied_from_a_chat_without_one_and_the_reverse():
    world = World(200)
    answered(world, SYSTEM, None, [2])
    assert world.admit(SYSTEM, b"two", [1]).num_cached_tokens == 5
    other = World(200)
    answered(other, SYSTEM, b"one", [2])
    assert other.admit(SYSTEM, None, [1]).num_cached_tokens == 5


def test_the_text_before_a_clip_is_copied_while_the_clip_is_still_computed():
    world = World(200)
    first = world.admit(SYSTEM, b"one", [2])
    assert world.admit(SYSTEM, b"two", [1]).num_cached_tokens == 0
    world.compute(first, 6)
    assert world.admit([*SYSTEM, 2], b"two", [1]).num_cached_tokens == 5


def test_nothing_is_copied_from_another_salt_or_from_a_prefix_that_may_be_wrong():
    world = World(200)
    first = world.admit(SYSTEM, b"one", [2])
    world.compute(first, 50)
    assert world.admit(SYSTEM, b"two", [1], salt=b"other").num_cached_tokens == 0
    world.manager.invalidate(first.prefix)
    assert world.admit(SYSTEM, b"two", [1]).num_cached_tokens == 0


def test_a_prefix_whose_text_is_copied_is_not_kept_longer_for_it():
    world = World(200)
    for clip, before in [(b"one", SYSTEM), (b"one", [2, 2]), (b"two", SYSTEM)]:
        answered(world, before, clip, [2])
    while world.manager.pool.allocate(1) is not None:
        pass
    world.admit([3, 3], None, [3])
    left = [prefix.text for prefix in world.manager.prefixes.values()]
    assert left == [encode([2, 2]), encode(SYSTEM)]


def test_clips_that_share_their_text_are_still_evicted_in_the_order_of_their_use():
    world = World(40)
    for number in range(6):
        answered(world, SYSTEM, b"one", [2], salt=b"", max_tokens=1 + number)
        answered(world, [*SYSTEM, number], b"two", [2], max_tokens=1)
    texts = [prefix.text for prefix in world.manager.prefixes.values()]
    assert encode([*SYSTEM, 0]) not in texts
    assert encode([*SYSTEM, 5]) in texts


def test_a_shorter_history_that_a_longer_one_begins_with_is_not_kept_beside_it():
    world = World(200)
    answered(world, [1, 2, 2, 1], None, [2])
    answered(world, [1, 2], None, [2], max_tokens=1)
    assert len(world.manager.cached_tails) == 1


def filled(num_kept, beginning=(1, 2, 3)):
    """Return a world with that many kept chats, with a few of their first tokens in common."""
    world = World(40 * num_kept + 1000)
    world.kv = [0] * len(world.kv)
    for number in range(num_kept):
        made = sequence(number, beginning, None, [number, 7, number])
        world.manager.allocate(made, num_tail=made.tail_capacity, now_s=number)
        made.num_tail_computed = made.num_prompt
        world.manager.free(made, now_s=number, is_kept=True)
    return world


def steps_of_one_more(num_kept):
    manager = filled(num_kept).manager

    def run(number):
        made = sequence(number, [1, 2, 3], None, [number % num_kept, 8])
        manager.allocate(made, num_tail=made.tail_capacity, now_s=1e6)
        made.num_tail_computed = 5
        manager.free(made, now_s=1e6, is_kept=True)

    return num_steps(lambda: [run(number) for number in range(num_kept, num_kept + 20)])


def test_an_admission_takes_no_longer_among_thousands_of_kept_chats():
    assert steps_of_one_more(2000) <= 1.05 * steps_of_one_more(50)


def test_an_eviction_takes_no_longer_among_thousands_of_kept_chats():
    def steps(num_kept):
        manager = filled(num_kept).manager
        while manager.pool.allocate(1) is not None:
            pass
        made = sequence(0, [5] * 10, None, [5])
        num = num_steps(lambda: manager.allocate(made, num_tail=made.tail_capacity, now_s=1e6))
        assert made.tail is not None
        return num

    assert steps(2000) <= 1.05 * steps(50)


def test_only_so_many_chats_are_kept_and_the_oldest_go_first():
    world = filled(MAX_CACHED_TAILS + 3, beginning=())
    assert len(world.manager.cached_tails) == MAX_CACHED_TAILS
    assert next(iter(world.manager.cached_tails)).used_s == 3


def test_a_tail_grows_in_place_where_the_slots_behind_it_are_free():
    world = World(100)
    made = world.admit([1], None, [2], num_output=2, max_tokens=50)
    start, before = made.tail.start, made.tail.length
    assert world.grow(made, 10)
    assert (made.tail.start, made.tail.length) == (start, before + 10)


def test_a_tail_moves_where_another_is_behind_it_and_its_former_slots_are_free():
    world = World(100)
    first = world.admit([1], b"one", [2], num_output=2, max_tokens=50)
    second = world.admit([2], None, [2], num_output=2, max_tokens=50)
    world.compute(first, 9)
    prefix, tail = first.prefix.extent, first.tail
    assert world.grow(first, 20)
    assert first.tail.start > second.tail.start
    assert first.prefix.extent == prefix
    assert world.manager.pool.allocate_after(tail.stop - 1, at_least=1, at_most=1) is None
    world.check()


def test_extents_are_moved_together_rather_than_cached_ones_evicted():
    world = World(200)
    text = itertools.count(10)

    def admit():
        return world.admit([next(text)] * 20, None, [1], num_output=3, max_tokens=4)

    running = [admit() for _ in range(8)]  # 24 slots each, and 8 are left
    for made in running[::2]:
        world.compute(made, 21)
        world.end(made, is_kept=False)
    assert world.manager.pool.longest_free < 50 < world.manager.pool.num_free
    kept = running[1]
    world.compute(kept, 21)
    world.end(kept, is_kept=True)
    long = world.admit([1] * 50, None, [2], num_output=3, max_tokens=4)
    assert long is not None
    assert len(world.manager.cached_tails) == 1
    world.check()


def test_a_prefix_that_several_read_is_never_moved():
    world = World(60)
    first = world.admit([1], None, [2] * 10, num_output=2, max_tokens=2)
    users = [world.admit([5, 5], b"one", [number], num_output=1) for number in (3, 4)]
    place = users[0].prefix.extent
    world.end(first, is_kept=False)
    assert world.admit([1], None, [2] * 37, num_output=2, max_tokens=2) is None
    assert users[0].prefix.extent == place
    world.end(users[1], is_kept=False)
    assert world.admit([1], None, [2] * 37, num_output=2, max_tokens=2) is not None
    assert users[0].prefix.extent.start == 0
    world.check()


def test_a_prefix_that_others_still_read_after_it_was_invalidated_is_computed_anew():
    world = World(100)
    first = world.admit([5], b"one", [3])
    second = world.admit([5], b"one", [4])
    world.manager.invalidate(first.prefix)
    place = second.prefix.extent
    world.manager.free(first, now_s=5.0, is_kept=False)
    world.running.remove(first)
    world.manager.allocate(first, num_tail=5, now_s=6.0)
    world.running.append(first)
    assert first.prefix is not second.prefix
    assert second.prefix.extent == place
    world.check()
