"""When rejected requests are told to come back."""

from flamingo_router.balancing.retry_times import MAX_DEFERRED_S, RetryTimes


def defer(times, excess_s=2.0, now_s=0.0):
    return times.defer(excess_s, 4.0, num_ready=2, now_s=now_s)


def test_a_burst_is_spread_by_the_work_of_those_before():
    times = RetryTimes()
    assert [defer(times) for _ in range(4)] == [2, 4, 6, 8]


def test_work_that_has_had_time_to_come_back_is_not_counted():
    times = RetryTimes()
    for _ in range(4):
        defer(times)
    assert defer(times, now_s=5.0) == 5
    assert defer(times, now_s=100.0) == 2


def test_the_time_is_bounded_however_many_are_rejected():
    times = RetryTimes()
    assert max(defer(times) for _ in range(1000)) == 2 + MAX_DEFERRED_S
