"""The scheduler alone, with random workloads: a fake model computes what it plans."""

import os
import random
from dataclasses import replace

import pytest
from fakes.effort import examples
from fakes.scheduler_world import EOS, POOL, WINDOWS, World
from fakes.steps import num_steps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flamingo_pod.engine.scheduling.growth import GrowthPolicy
from flamingo_pod.engine.scheduling.sequence import Sequence, SequenceState

WORKLOADS = int(os.environ.get("FLAMINGO_SCHEDULER_RUNS", "2000"))
"""Random workloads per test run; each has up to a few hundred steps."""


kinds = st.fixed_dictionaries(
    {
        "num_prompt": st.integers(1, 120),
        "max_tokens": st.integers(1, 40) | st.integers(40, 200),
        "is_low": st.booleans(),
        "clip": st.none()
        | st.tuples(
            st.sampled_from([b"a", b"b", b"c", b"d"]),
            st.just([]),
        ),
    }
)
actions = st.lists(
    st.one_of(
        kinds,
        st.integers(1, 12),
        st.floats(0.1, 40.0),
        st.tuples(st.sampled_from(["cancel", "poison"]), st.integers(0, 9)),
    ),
    max_size=40,
)


limits = st.fixed_dictionaries(
    {
        "kv_cache_tokens": st.sampled_from([100, 250, POOL]),
        "max_num_seqs": st.sampled_from([1, 3, 64, 64]),
        "preempt_after_s": st.sampled_from([0.0, 1.0, 10.0]),
        "growth": st.builds(
            GrowthPolicy,
            quantile=st.sampled_from([0.0, 0.5, 0.9]),
            prior_tokens=st.integers(1, 40),
            min_tokens=st.integers(1, 10),
            growth=st.sampled_from([0.0, 0.5]),
            spare_share=st.sampled_from([0.0, 0.05]),
        ),
    }
)


@settings(max_examples=examples(WORKLOADS), deadline=None, suppress_health_check=list(HealthCheck))
@given(actions, limits, st.data())
def test_any_workload_ends_without_leaks_or_overlaps(actions_taken, chosen, data):
    world = World(**chosen)
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


def test_other_choices_of_a_prompt_are_admitted_together_once_it_is_computed():
    world = World()
    choices = [world.submit(num_prompt=40) for _ in range(4)]
    assert [chunk.sequence for chunk in world.step().chunks] == choices[:1]
    assert [copy.num_tokens for copy in world.step().copies] == [39] * 3


def busy_world(num_decoding, num_waiting):
    """Return a world whose batch has no room for those that wait."""
    world = World(max_num_seqs=num_decoding, kv_cache_tokens=POOL)
    for _ in range(num_decoding + num_waiting):
        world.submit(num_prompt=4, max_tokens=30)
    for _ in range(4):
        world.step()
    assert len(world.scheduler.decoding) == num_decoding
    return world


def lines_of_a_step(world):
    scheduler = world.scheduler

    def step():
        plan = scheduler.schedule(world.now_s)
        scheduler.commit(plan, {c.sequence: 7 for c in plan.chunks}, now_s=world.now_s)

    return num_steps(step)


def test_a_step_takes_no_longer_beside_many_waiting_sequences():
    assert lines_of_a_step(busy_world(10, 1000)) == lines_of_a_step(busy_world(10, 10))


def test_waiting_sequences_are_looked_at_only_after_a_change_or_some_time():
    def world_without_memory(num_waiting):
        world = World()
        world.submit(num_prompt=POOL // 2, max_tokens=40)
        for _ in range(num_waiting):
            world.submit(num_prompt=POOL // 2, max_tokens=40)
        for _ in range(20):
            world.step()
        world.scheduler.schedule(world.now_s)
        return world

    few, many = world_without_memory(10), world_without_memory(1000)
    assert lines_of_a_step(many) == lines_of_a_step(few)
    few.now_s += 1
    many.now_s += 1
    assert lines_of_a_step(many) > 10 * lines_of_a_step(few)


def test_a_decoding_sequence_takes_the_same_work_in_any_batch():
    few, many = (lines_of_a_step(busy_world(number, 0)) / number for number in (8, 16))
    assert many <= few


def crowded(seed, num_steps=250, *, has_low):
    """Run a workload that needs more memory than there is; return its world."""
    chance = random.Random(seed)
    small = GrowthPolicy(
        prior_tokens=chance.choice([1, 8, 30]), min_tokens=chance.choice([1, 4]), spare_share=0.02
    )
    world = World(growth=small, kv_cache_tokens=chance.choice([250, 400, POOL]))
    world.scheduler.limits = replace(
        world.scheduler.limits, preempt_after_s=chance.choice([1.0, 1e9])
    )
    for _ in range(num_steps):
        if chance.random() < 0.3:
            clip = chance.choice([None, *WINDOWS])
            clip = clip and (clip, WINDOWS[clip])
            world.submit(
                num_prompt=chance.randint(1, 40),
                max_tokens=chance.choice([20, 90]),
                clip=clip,
                is_low=has_low and chance.random() < 0.5,
            )
        if chance.random() < 0.05 and world.submitted:
            left = chance.choice(world.submitted[-20:])
            if left.prefix is not None and chance.random() < 0.3:
                world.scheduler.kv_cache.invalidate(left.prefix)
            world.cancel(left, is_kept=chance.random() < 0.5)
        world.step(lambda s: EOS if chance.random() < 0.02 else 7)
    return world


@pytest.mark.parametrize("has_low", [False, True], ids=["live", "both"])
@pytest.mark.parametrize("seed", range(examples(40)))
def test_in_a_crowded_pool_every_sequence_ends_and_nothing_leaks(seed, has_low):
    world = crowded(seed, has_low=has_low)
    assert world.num_moves > 0, "else nothing was tried"
    assert world.scheduler.num_preemptions > 0, "else nothing was tried"
    world.drain()
    assert world.scheduler.kv_cache.num_tokens_used == 0
    assert all(made.state is SequenceState.FINISHED for made in world.submitted)


def tight_world(num_tokens):
    growth = GrowthPolicy(prior_tokens=2, min_tokens=2, spare_share=0.0)
    return World(growth=growth, kv_cache_tokens=num_tokens)


def test_the_youngest_is_preempted_for_a_tail_that_grows_and_then_comes_first():
    world = tight_world(100)
    old, young = (world.submit(num_prompt=40 + number, max_tokens=40) for number in range(2))
    while young.state is SequenceState.RUNNING or not young.num_preemptions:
        world.step()
    assert len(young.output_ids) > 0
    assert old.state is SequenceState.RUNNING
    fresh = world.submit(num_prompt=1, max_tokens=5)
    while young.state is SequenceState.WAITING:
        assert fresh.state is SequenceState.WAITING, "what becomes free is for the preempted one"
        world.step()
    world.drain()
    assert old.num_preemptions == 0
    assert len(young.output_ids) == 40


def test_a_sequence_that_cannot_grow_beside_older_ones_gets_all_that_it_needs_when_it_returns():
    world = World(growth=GrowthPolicy(prior_tokens=60, spare_share=0.0), kv_cache_tokens=160)
    young = world.submit(num_prompt=10, max_tokens=120)
    for _ in range(30):
        world.step()
    # The older by number comes later, as one does that has been preempted itself.
    young.number += 10
    old = world.submit(num_prompt=20, max_tokens=60)
    while not young.num_preemptions:
        world.step()
    assert len(old.output_ids) < 60
    while young.state is SequenceState.WAITING:
        world.step()
    assert young.num_growable == 0
    world.drain()
    assert (young.num_preemptions, old.num_preemptions) == (1, 0)


def test_of_waiting_clips_the_one_with_the_least_left_to_compute_is_admitted_first():
    world = World(max_num_seqs=1)
    running = world.submit(num_prompt=1, max_tokens=20, clip=(b"b", WINDOWS[b"b"]))
    world.step()
    long, short, cached = (
        world.submit(num_prompt=5, clip=(key, WINDOWS[key])) for key in (b"c", b"a", b"b")
    )
    first = []
    while len(first) < 3:
        world.step()
        first += [s for s in world.scheduler.running if s not in (running, *first)]
    assert first == [cached, short, long]
