"""The policies beside each other in the simulator: ratios of one run, so no machine matters."""

import functools

import pytest
from bench.simulator import Setup, goodput_per_s, simulate

NUM_JOBS = 6000


@functools.cache
def outcome(policy, **options):
    return simulate(Setup(policy=policy, **{"num_jobs": NUM_JOBS} | options))


def test_long_clips_beside_short_ones_wait_far_less_than_with_least_connections():
    counted, worked = outcome("least-connections"), outcome("least-work-left")

    assert worked.mean_s <= 0.5 * counted.mean_s
    assert worked.short_p99_s <= 0.35 * counted.short_p99_s
    assert worked.long_p99_s <= 1.2 * counted.long_p99_s


def test_clips_of_one_size_wait_no_longer_than_with_least_connections():
    counted = outcome("least-connections", mix="clips")
    worked = outcome("least-work-left", mix="clips")

    assert worked.mean_s <= 1.1 * counted.mean_s
    assert worked.p99_s <= 1.1 * counted.p99_s


def test_a_clip_that_comes_again_goes_where_it_is_held():
    options = {"mix": "songs", "repeats": 0.4, "num_jobs": 4000}
    blind = outcome("least-work-left-plain", **options)
    knowing = outcome("least-work-left", **options)

    assert knowing.mean_s <= 0.7 * blind.mean_s


def test_lengths_that_are_wrong_by_a_factor_of_three_cost_little():
    exact, wrong = outcome("least-work-left"), outcome("least-work-left", error=1.0)

    assert wrong.mean_s <= 1.3 * exact.mean_s


def test_pods_that_do_the_shortest_first_gain_for_long_clips_and_cost_short_ones_nothing():
    options = {"shortest_first": True, "queue_threshold_s": 30.0}
    counted = outcome("least-connections", shortest_first=True)
    worked = outcome("least-work-left", **options)

    assert worked.mean_s <= 0.8 * counted.mean_s
    assert worked.p99_s <= 0.7 * counted.p99_s
    assert worked.short_p99_s <= 1.15 * counted.short_p99_s


def test_three_routers_with_old_views_still_beat_one_that_counts_connections():
    options = {"num_routers": 3, "shortest_first": True, "num_jobs": 4000}
    counted = outcome("least-connections", **options)
    worked = outcome("least-work-left", queue_threshold_s=30.0, **options)

    assert worked.mean_s <= 0.8 * counted.mean_s


@pytest.mark.parametrize("shortest_first", [False, True])
@pytest.mark.parametrize("load", [2.0, 5.0])
def test_overload_costs_few_of_the_requests_that_are_done_in_time(load, shortest_first):
    def goodput(load):
        options = {"shortest_first": shortest_first, "ageing_s": 5.0, "queue_threshold_s": 30.0}
        num_jobs = int(300 * load)
        return goodput_per_s(
            Setup(load=load, num_pods=2, num_jobs=num_jobs, deadline_s=20.0, **options)
        )

    assert goodput(load) >= 0.75 * goodput(1.2)


@pytest.mark.parametrize("policy", ["least-work-left", "least-connections"])
def test_pods_that_die_lose_nothing_that_another_can_answer(policy):
    died = outcome(policy, deaths_per_s=0.02, num_jobs=3000)

    assert died.num_failed == 0
    assert len(died.first_tokens_s) == 2700


def test_the_same_seed_gives_the_same_run():
    one, other = (simulate(Setup(num_jobs=1000)) for _ in range(2))

    assert one == other
