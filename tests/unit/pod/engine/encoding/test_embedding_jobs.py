"""Whose turn it is among the clips that are encoded for embeddings."""

from collections import deque

from fakes.scheduler_world import World

from flamingo_common.wire.priority import Priority
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.encoding.embedding_jobs import EmbeddingJob, EmbeddingJobs


def job(priority=Priority.NORMAL):
    return EmbeddingJob(deque(), True, RequestStats(priority=priority))


def test_low_priority_has_a_turn_only_when_it_may():
    jobs, live, low = EmbeddingJobs(), job(), job(Priority.LOW)
    jobs.add(low)
    jobs.add(live)
    assert (len(jobs), jobs.has_live) == (2, True)
    assert jobs.take(may_be_low=False) is live
    assert jobs.take(may_be_low=False) is None
    assert jobs.take(may_be_low=True) is low
    assert not jobs


def test_live_jobs_take_turns():
    jobs, first, second = EmbeddingJobs(), job(), job(Priority.HIGH)
    jobs.add(first)
    jobs.add(second)
    jobs.add(jobs.take(may_be_low=True))
    assert jobs.take_all() == [second, first]
    assert not jobs


def test_windows_of_low_priority_are_encoded_alone_or_from_the_share_of_low_priority():
    world = World()
    scheduler = world.scheduler
    assert scheduler.num_low_windows() > 0
    world.submit(num_prompt=5, max_tokens=500)
    assert scheduler.num_low_windows() == 0
    for _ in range(60):  # of 10 ms each
        world.step()
    assert scheduler.num_low_windows() > 0
    scheduler.observe_embedding(0.06, is_low=True)
    assert scheduler.num_low_windows() == 0


def test_live_embeddings_keep_low_priority_from_the_steps_but_for_its_share():
    world = World()
    world.submit(num_prompt=5, max_tokens=50, is_low=True)
    world.step()
    world.scheduler.low_share.has_live_embeddings = True
    assert world.step().is_empty
    world.scheduler.observe_embedding(0.5, is_low=False)
    assert not world.step().is_empty
    world.scheduler.low_share.has_live_embeddings = False
    world.drain()
