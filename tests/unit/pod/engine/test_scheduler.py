"""The scheduler alone, with random workloads: a fake model computes what it plans."""

import itertools
import os

from fakes.effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flamingo_pod.engine.budget import TokenBudget
from flamingo_pod.engine.scheduler import Scheduler, SchedulerLimits
from flamingo_pod.engine.sequence import Prefix, SamplingParams, Sequence, SequenceState

EOS = 0
POOL = 600
WORKLOADS = int(os.environ.get("FLAMINGO_SCHEDULER_RUNS", "2000"))
"""Random workloads per test run; each has up to a few hundred steps."""


def sequence(number, num_prompt=10, max_tokens=5, *, arrived_s=0.0, clip=None, ids=None):
    """Return a sequence; `clip` is `(key, tokens of its windows)` at the prompt's start."""
    prefix = None
    if clip is not None:
        key, tokens = clip
        prefix = Prefix(key, num_tokens=2 + sum(tokens), audio_start=2, window_tokens=tokens)
        num_prompt += prefix.num_tokens
    return Sequence(
        number=number,
        prompt_ids=ids or list(range(1, num_prompt + 1)),
        params=SamplingParams(max_tokens=max_tokens),
        arrived_s=arrived_s,
        own_prefix=prefix,
    )


class World:
    """A scheduler, and the KV that a model would have written: which token stands where."""

    def __init__(self, **limits):
        fields = {"kv_cache_tokens": POOL, "max_num_seqs": 64, "max_windows_per_step": 2}
        self.scheduler = Scheduler(SchedulerLimits(**(fields | limits)))
        self.scheduler.budget = TokenBudget(min_tokens=1, max_tokens=50)
        self.kv = [None] * POOL
        self.now_s = 0.0
        self.numbers = itertools.count()
        self.finished: list[Sequence] = []

    def submit(self, **kinds):
        made = sequence(next(self.numbers), arrived_s=self.now_s, **kinds)
        if self.scheduler.can_ever_run(made):
            self.scheduler.submit(made)
        return made

    def step(self, token=lambda _: 7):
        plan = self.scheduler.schedule(self.now_s)
        self.check_extents()
        for copy in plan.copies:
            self.kv[copy.target : copy.target + copy.num_tokens] = self.kv[
                copy.source : copy.source + copy.num_tokens
            ]
        for chunk in plan.chunks:
            self.write(chunk)
        sampled = {c.sequence: token(c.sequence) for c in plan.chunks if c.is_sampled}
        self.finished += self.scheduler.commit(plan, sampled, {EOS}, now_s=self.now_s)
        self.now_s += 0.1
        return plan

    def write(self, chunk):
        """Write the chunk's tokens where they belong, and check all that stands before them."""
        slots = self.slots(chunk.sequence)
        ids = chunk.sequence.ids(0, chunk.sequence.num_tokens)
        if chunk.sequence.prefix and not chunk.sequence.prefix.is_computed:
            assert chunk.stop <= chunk.sequence.prefix.num_ready
        for at in range(chunk.start):
            assert self.kv[slots[at]] == ids[at], "attention would read another's KV"
        for at in range(chunk.start, chunk.stop):
            self.kv[slots[at]] = ids[at]

    def slots(self, running):
        prefix = running.prefix.extent if running.prefix else None
        start = list(range(prefix.start, prefix.stop)) if prefix else []
        return start + list(range(running.tail.start, running.tail.stop))

    def check_extents(self):
        kv_cache = self.scheduler.kv_cache
        extents = [s.tail for s in self.scheduler.running]
        extents += [p.extent for p in self.prefixes()]
        extents += [tail.extent for tail in kv_cache.cached_tails]
        extents = sorted(extent for extent in extents if extent.length)
        assert all(a.stop <= b.start for a, b in itertools.pairwise(extents)), "extents overlap"
        assert kv_cache.pool.num_free == POOL - sum(e.length for e in extents), "extents leak"
        users = {id(p): 0 for p in self.prefixes()}
        for running in self.scheduler.running:
            if running.prefix is not None:
                users[id(running.prefix)] += 1
        assert all(users[id(p)] == p.num_users for p in self.prefixes())

    def prefixes(self):
        """Return the prefixes that can be shared, and those that are only still in use."""
        used = [s.prefix for s in self.scheduler.running if s.prefix is not None]
        return {id(p): p for p in (*self.scheduler.kv_cache.prefixes.values(), *used)}.values()

    def act(self, action, made, data):
        match action:
            case dict():
                clip = action["clip"] and (action["clip"][0], WINDOWS[action["clip"][0]])
                made.append(self.submit(**(action | {"clip": clip})))
            case int():
                for _ in range(action):
                    self.step(lambda s: EOS if (s.number + len(s.output_ids)) % 11 == 0 else 7)
            case float():
                self.now_s += action
            case ("cancel", number) if number < len(made):
                self.cancel(made[number], is_kept=data.draw(st.booleans()))
            case ("poison", number) if number < len(made):
                if made[number].prefix is not None:
                    self.scheduler.kv_cache.invalidate(made[number].prefix)
                self.cancel(made[number], is_kept=False)

    def cancel(self, left, *, is_kept):
        if left in self.scheduler.waiting or left in self.scheduler.running:
            self.scheduler.finish(left, now_s=self.now_s, is_kept=is_kept)

    def drain(self, max_steps=5000):
        for _ in range(max_steps):
            if not (self.scheduler.waiting or self.scheduler.running):
                return
            self.step()
        raise AssertionError("it never ends")


kinds = st.fixed_dictionaries(
    {
        "num_prompt": st.integers(1, 120),
        "max_tokens": st.integers(1, 40),
        "clip": st.none()
        | st.tuples(
            st.sampled_from([b"a", b"b", b"c", b"d"]),
            st.just([]),
        ),
    }
)
WINDOWS = {b"a": [30], b"b": [30, 30, 11], b"c": [30] * 6, b"d": [3]}
"""A clip's windows are the clip's: equal keys have equal ones."""
actions = st.lists(
    st.one_of(
        kinds,
        st.integers(1, 12),
        st.floats(0.1, 40.0),
        st.tuples(st.sampled_from(["cancel", "poison"]), st.integers(0, 9)),
    ),
    max_size=40,
)


@settings(max_examples=examples(WORKLOADS), deadline=None, suppress_health_check=list(HealthCheck))
@given(actions, st.sampled_from([1, 3, 64]), st.sampled_from([0.0, 1.0, 10.0]), st.data())
def test_any_workload_ends_without_leaks_or_overlaps(actions_taken, max_seqs, wait_s, data):
    world = World(max_num_seqs=max_seqs, preempt_after_s=wait_s)
    made: list[Sequence] = []
    for action in actions_taken:
        world.act(action, made, data)
    world.drain()
    world.check_extents()
    assert world.scheduler.kv_cache.num_tokens_used == 0
    for ended in world.finished:
        assert ended.state is SequenceState.FINISHED
        assert len(ended.output_ids) == ended.params.max_tokens or ended.output_ids[-1] == EOS


def test_a_short_prompt_overtakes_a_long_one_that_came_first():
    world = World()
    world.submit(num_prompt=300)
    world.step()
    short = world.submit(num_prompt=20)
    plan = world.step()
    assert plan.chunks[0].sequence is short


def test_a_long_prompt_does_not_starve():
    world = World()
    long = world.submit(num_prompt=300, max_tokens=1)
    for _ in range(400):
        if long.state is SequenceState.FINISHED:
            return
        world.submit(num_prompt=40, max_tokens=1)
        world.step()
    raise AssertionError("the long prompt starves")


def test_a_long_prompt_without_memory_is_admitted_in_the_end():
    world = World(preempt_after_s=2.0)
    for _ in range(10):
        world.submit(num_prompt=50, max_tokens=30)
    world.step()
    long = world.submit(num_prompt=560, max_tokens=10)
    for _ in range(2000):
        if long.state is SequenceState.FINISHED:
            return
        world.submit(num_prompt=50, max_tokens=30)
        world.step()
    raise AssertionError("it never found room")


def test_a_near_deadline_comes_before_a_short_prompt():
    world = World()
    world.submit(num_prompt=10)
    urgent = world.submit(num_prompt=200)
    urgent.deadline_s = 1.0
    assert world.scheduler.schedule(0.0).chunks[0].sequence is urgent


def test_one_sequence_prefills_the_prefix_for_all():
    world = World()
    first, second = (world.submit(num_prompt=5, clip=(b"c", WINDOWS[b"c"])) for _ in range(2))
    plan = world.step()  # its windows are encoded
    assert [job.sequence for job in plan.windows] == [first, first]
    plan = world.step()
    assert [chunk.sequence for chunk in plan.chunks] == [first]
    world.drain()
    assert second.num_cached_tokens >= 0
    assert len(second.output_ids) == 5


def test_the_same_prompt_is_prefilled_once_and_copied():
    world = World()
    first, second = world.submit(num_prompt=40), world.submit(num_prompt=40)
    assert [chunk.sequence for chunk in world.step().chunks] == [first]
    plan = world.step()
    assert [copy.num_tokens for copy in plan.copies] == [39]
    assert [chunk.num_tokens for chunk in plan.chunks] == [1, 1]
    assert second.num_cached_tokens == 39
    world.drain()


def test_a_step_decodes_all_and_prefills_what_the_budget_leaves():
    world = World()
    for number in range(3):
        world.submit(num_prompt=5 + number, max_tokens=20)
    world.step()
    world.submit(num_prompt=200)
    plan = world.step()
    assert (plan.num_decoding, plan.num_prefilled) == (3, 50)
