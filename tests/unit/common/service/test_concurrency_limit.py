import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.service.concurrency_limit import ConcurrencyLimit


def grown(limit, num_successes):
    for _ in range(num_successes):
        limit.on_success()
    return limit


def test_it_doubles_with_each_round_until_the_first_refusal():
    limit = ConcurrencyLimit(max_limit=64, first_limit=4)
    assert grown(limit, 4).limit() == 8
    assert grown(limit, 8).limit() == 16


def test_it_never_exceeds_its_maximum():
    assert grown(ConcurrencyLimit(max_limit=10), 1000).limit() == 10


def test_a_refusal_halves_it():
    limit = grown(ConcurrencyLimit(max_limit=64), 60)
    limit.on_refused()
    assert limit.limit() == 32


def test_refusals_of_one_round_are_one_event():
    limit = grown(ConcurrencyLimit(max_limit=64), 60)
    for _ in range(64):
        limit.on_refused()
    assert limit.limit() == 32
    limit.on_refused()
    assert limit.limit() == 16


def test_after_a_refusal_it_grows_by_one_for_each_round_of_successes():
    limit = grown(ConcurrencyLimit(max_limit=64), 60)
    limit.on_refused()
    grown(limit, 63)  # what was sent under the old limit
    assert limit.limit() == 32
    assert grown(limit, 33).limit() == 33


def test_it_is_never_below_one():
    limit = ConcurrencyLimit(max_limit=4)
    for _ in range(100):
        limit.on_refused()
    assert limit.limit() == 1


def test_the_servers_pause_is_followed():
    assert ConcurrencyLimit(max_limit=4).on_refused(7.5) == 7.5


def test_without_one_the_pause_doubles_with_each_round():
    limit = ConcurrencyLimit(max_limit=1)
    assert [limit.on_refused() for _ in range(7)] == [0.5, 1, 2, 4, 8, 15, 15]
    limit.on_success()
    assert limit.on_refused() == 0.5


@pytest.mark.parametrize("wrong", [{"max_limit": 0}, {"max_limit": 4, "first_limit": 0}])
def test_a_limit_below_one_is_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        ConcurrencyLimit(**wrong)


@given(
    st.integers(1, 100),
    st.integers(1, 100),
    st.lists(st.sampled_from([None, -1.0, 0.0, 3.0, "ok"])),
)
def test_it_stays_within_its_bounds(max_limit, first_limit, events):
    limit = ConcurrencyLimit(max_limit=max_limit, first_limit=first_limit)
    for event in events:
        if event == "ok":
            limit.on_success()
        else:
            assert limit.on_refused(event) >= 0
        assert 1 <= limit.limit() <= max_limit


def test_it_finds_what_a_server_can_take_and_stays_near_it():
    """A server that refuses the 21st request: the limit swings between half of it and all of it."""
    limit = ConcurrencyLimit(max_limit=1000)
    seen = []
    for round_number in range(500):
        num_sent = limit.limit()
        for index in range(num_sent):
            if index < 20:
                limit.on_success()
            else:
                limit.on_refused(0.1)
        if round_number > 50:
            seen.append(num_sent)
    assert min(seen) >= 9
    assert max(seen) <= 22
    assert sum(seen) / len(seen) > 14
