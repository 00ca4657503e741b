"""Sequences of low priority beside live ones: what a live one waits for, and that none starves."""

import random

import pytest
from fakes.effort import examples
from fakes.scheduler_world import EOS, POOL, WINDOWS, Machine, World

from flamingo_pod.engine.scheduling import low_share
from flamingo_pod.engine.scheduling.growth import GrowthPolicy
from flamingo_pod.engine.scheduling.low_sequences import PROMOTE_AFTER_S
from flamingo_pod.engine.scheduling.low_share import TIME_PER_LIVE_S, TURN_S, work_of
from flamingo_pod.engine.scheduling.sequence import SequenceState

CPU, GPU = Machine(row_s=0.01), Machine(row_s=1e-5)
CLIP = (b"c", WINDOWS[b"c"])


def world_of(costs, **limits):
    world = World(**limits)
    world.costs = costs
    return world


def run_until(world, is_done, max_steps=5000):
    for _ in range(max_steps):
        if is_done():
            return
        world.step()
    raise AssertionError("it never came")


def is_finished(one):
    return one.state is SequenceState.FINISHED


def batch_of(world, number, **kinds):
    return [
        world.submit(num_prompt=10 + n, is_low=True, **({"max_tokens": 100} | kinds))
        for n in range(number)
    ]


def steps_of(world, one):
    num_steps = 0
    while not is_finished(one):
        world.step()
        num_steps += 1
    return num_steps


def test_a_live_sequence_takes_as_many_steps_beside_a_batch_as_alone():
    alone, beside = world_of(CPU), world_of(CPU)
    batch_of(beside, 20)
    for _ in range(30):
        beside.step()
    steps = [steps_of(each, each.submit(num_prompt=60, clip=CLIP)) for each in (alone, beside)]
    assert steps[0] == steps[1]


@pytest.mark.parametrize("costs", [CPU, GPU], ids=["CPU", "GPU"])
def test_low_priority_makes_steps_with_live_rows_hardly_longer(costs):
    world = world_of(costs, kv_cache_tokens=20_000)
    batch_of(world, 30, max_tokens=600)
    for _ in range(60):
        world.step()
    live_s = low_s = 0.0
    for _ in range(10):
        live = world.submit(num_prompt=40, max_tokens=150)
        while not is_finished(live):
            plan = world.step()
            more_s = work_of(plan, is_low=True).seconds(world.scheduler.low_share.costs)
            low_s, live_s = low_s + more_s, live_s + world.step_s - more_s
    assert 0 < low_s <= TIME_PER_LIVE_S * live_s * 1.1 + TURN_S


def test_on_a_gpu_all_rows_of_low_priority_decode_beside_live_ones():
    world = world_of(GPU, kv_cache_tokens=20_000)
    batch_of(world, 10)
    for _ in range(20):
        world.step()
    world.submit(num_prompt=5, max_tokens=50)
    for _ in range(4):  # the first steps with another number of rows tell what a row costs
        world.step()
    assert world.step().num_decoding == 11


def test_low_priority_has_its_share_of_steady_live_load():
    world = world_of(CPU, kv_cache_tokens=20_000)
    batch, live = batch_of(world, 5, max_tokens=20), []
    for _ in range(3000):
        live = [one for one in live if not is_finished(one)]
        while len(live) < 3:
            live.append(world.submit(num_prompt=30, max_tokens=40))
        world.step()
    assert all(map(is_finished, batch))


def test_low_priority_does_not_starve_where_live_sequences_fill_every_place():
    world = world_of(GPU, max_num_seqs=2)
    batch, live = batch_of(world, 3, max_tokens=5), []
    for _ in range(3000):
        live = [one for one in live if not is_finished(one)]
        while len(live) < 4:
            live.append(world.submit(num_prompt=10, max_tokens=20))
        world.step()
        if all(map(is_finished, batch)):
            assert world.now_s > PROMOTE_AFTER_S
            return
    raise AssertionError("low priority starves")


def test_low_priority_does_not_starve_where_live_sequences_fill_the_memory():
    world = world_of(GPU)
    batch, live = batch_of(world, 3, max_tokens=30), []
    for _ in range(4000):
        live = [one for one in live if not is_finished(one)]
        while len(live) < 4:
            live.append(world.submit(num_prompt=190, max_tokens=20))
        world.step()
    assert all(map(is_finished, batch))


def test_a_live_sequence_takes_memory_and_a_place_from_low_priority_at_once():
    for limits in ({"max_num_seqs": 4}, {"kv_cache_tokens": 200}):
        world = world_of(GPU, growth=GrowthPolicy(prior_tokens=30), **limits)
        batch = batch_of(world, 4, max_tokens=30)
        world.step()
        assert {one.state for one in batch} == {SequenceState.RUNNING}
        live = world.submit(num_prompt=60, max_tokens=20)
        world.step()
        assert live.state is SequenceState.RUNNING
        assert batch[0].state is SequenceState.RUNNING, "the youngest gives way"
        assert batch[-1].num_preemptions == 1
        world.drain()
        assert all(len(one.output_ids) == 30 for one in batch)


def test_what_becomes_free_is_not_given_to_low_priority_while_a_live_sequence_needs_it():
    world = world_of(GPU, kv_cache_tokens=300)
    first = world.submit(num_prompt=200, max_tokens=10)
    world.step()
    second = world.submit(num_prompt=201, max_tokens=10)
    low = world.submit(num_prompt=20, max_tokens=10, is_low=True)
    run_until(world, lambda: is_finished(first))
    world.step()
    assert second.state is SequenceState.RUNNING
    run_until(world, lambda: is_finished(low))


def test_a_live_prompt_does_not_wait_for_an_equal_one_of_low_priority():
    world = world_of(CPU)
    other = world.submit(num_prompt=200, is_low=True)
    world.step()
    live = world.submit(num_prompt=200)
    plan = world.step()
    assert [chunk.sequence for chunk in plan.chunks] == [live]
    assert not is_finished(other)


def test_a_live_sequence_computes_the_rest_of_a_prefix_that_low_priority_began():
    world = world_of(CPU)
    low = world.submit(num_prompt=5, clip=CLIP, is_low=True)
    world.step()
    world.step()
    begun = low.prefix.num_computed
    live = world.submit(num_prompt=6, clip=CLIP)
    run_until(world, lambda: is_finished(live))
    assert 0 < begun < live.num_prefix
    assert live.num_cached_tokens == begun
    world.drain()


def test_a_step_of_low_priority_alone_is_bounded():
    world = World(kv_cache_tokens=20_000, max_windows_per_step=8)
    world.scheduler.budget.max_tokens = 2048
    world.costs = Machine(step_s=0.001, row_s=0.002, token_s=0.0002, window_s=0.02)
    for _ in range(60):
        world.submit(num_prompt=600, max_tokens=60, is_low=True)
    longest_s = []
    while world.scheduler.waiting or world.scheduler.running:
        plan = world.step()
        longest_s.append(world.step_s)
        assert len(plan.chunks) > 0
    # The first steps are planned before anything is known of the machine.
    assert max(longest_s[20:]) <= low_share.ALONE_S + low_share.MIN_TOKENS * 0.0002 + 0.005


def test_low_priority_alone_does_as_much_in_a_step_as_live_work_where_that_is_short():
    def plans(*, is_low):
        world = world_of(GPU, kv_cache_tokens=20_000)
        for number in range(20):
            world.submit(num_prompt=30 + number, max_tokens=20, is_low=is_low, clip=CLIP)
        while world.scheduler.waiting or world.scheduler.running:
            plan = world.step()
            chunks = [(c.sequence.number, c.start, c.stop) for c in plan.chunks]
            yield chunks, [(job.sequence.number, job.index) for job in plan.windows]

    assert list(plans(is_low=True)) == list(plans(is_low=False))


@pytest.mark.parametrize("seed", range(examples(30)))
def test_outputs_and_ends_are_the_same_whatever_the_priorities(seed):
    def outputs(*, has_low):
        chance = random.Random(seed)
        world = World(
            growth=GrowthPolicy(prior_tokens=4, min_tokens=2, spare_share=0.0),
            kv_cache_tokens=chance.choice([250, POOL]),
            max_num_seqs=chance.choice([3, 64]),
        )
        world.costs = chance.choice([CPU, GPU])
        for _ in range(chance.randint(5, 40)):
            clip = chance.choice([None, *WINDOWS])
            is_low = chance.random() < 0.5
            world.submit(
                num_prompt=chance.randint(1, 60),
                max_tokens=chance.choice([5, 60]),
                clip=clip and (clip, WINDOWS[clip]),
                is_low=is_low and has_low,
            )
            for _ in range(chance.randint(0, 6)):
                world.step(token_of)
        for _ in range(20_000):
            if not (world.scheduler.waiting or world.scheduler.running):
                break
            world.step(token_of)
        assert world.scheduler.kv_cache.num_tokens_used == 0
        return [one.output_ids for one in world.submitted]

    def token_of(one):
        return EOS if (one.number * 7 + len(one.output_ids)) % 23 == 0 else len(one.output_ids) + 1

    assert outputs(has_low=True) == outputs(has_low=False)


@pytest.mark.parametrize("seed", range(examples(30)))
def test_rows_that_may_be_repeated_are_those_that_would_be_planned(seed):
    chance = random.Random(seed)
    world = world_of(chance.choice([CPU, GPU, Machine(row_s=0.002)]), kv_cache_tokens=20_000)
    num_repeated = 0
    for _ in range(400):
        if chance.random() < 0.05:
            world.submit(
                num_prompt=chance.randint(1, 40),
                max_tokens=chance.randint(20, 90),
                is_low=chance.random() < 0.6,
            )
        plan = world.step()
        if plan.chunks and world.scheduler.only_decodes(plan, world.now_s):
            num_repeated += 1
            following = world.scheduler.schedule(world.now_s)
            world.copy(following)
            assert {c.sequence for c in following.chunks} == {c.sequence for c in plan.chunks}
            assert not following.windows
    assert num_repeated > 20
