"""What a caller may ask, by the minute and at once."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.errors import RateLimited
from flamingo_router.balancing.quota import Quotas


@dataclass(frozen=True)
class Terms:
    name: str = "alice"
    max_concurrent: int | None = None
    requests_per_minute: float | None = None
    audio_seconds_per_minute: float | None = None


def refusal(quotas, terms, now_s):
    with pytest.raises(RateLimited) as refused:
        quotas.enter(terms, now_s=now_s)
    return refused.value


def test_without_limits_all_may():
    quotas = Quotas()
    for _ in range(1000):
        quotas.enter(Terms(), now_s=0)
    assert quotas.headers("alice") == {}


def test_a_minutes_requests_may_come_at_once_and_the_next_waits_for_its_turn():
    quotas, terms = Quotas(), Terms(requests_per_minute=30)
    for _ in range(30):
        quotas.enter(terms, now_s=0)
    refused = refusal(quotas, terms, now_s=0)
    assert refused.retry_after_s == pytest.approx(2)
    assert refused.message == "the key 'alice' may ask 30 times a minute"
    quotas.enter(terms, now_s=2)


def test_requests_at_once_are_counted_by_who_enters_and_leaves():
    quotas, terms = Quotas(), Terms(max_concurrent=2)
    quotas.enter(terms, now_s=0)
    quotas.enter(terms, now_s=0)
    assert "has 2 requests open" in refusal(quotas, terms, now_s=0).message
    quotas.leave("alice")
    quotas.enter(terms, now_s=0)


def test_a_refused_request_costs_nothing():
    quotas, terms = Quotas(), Terms(max_concurrent=1, requests_per_minute=2)
    quotas.enter(terms, now_s=0)
    for _ in range(10):
        refusal(quotas, terms, now_s=0)
    quotas.leave("alice")
    quotas.enter(terms, now_s=0)


def test_a_clip_longer_than_what_is_left_is_let_in_and_waited_off():
    quotas, terms = Quotas(), Terms(audio_seconds_per_minute=600)
    quotas.enter(terms, now_s=0)
    quotas.charge("alice", 1200)
    refused = refusal(quotas, terms, now_s=0)
    assert refused.retry_after_s == pytest.approx(60)
    quotas.enter(terms, now_s=60.1)


def test_what_the_pod_heard_less_comes_back():
    quotas, terms = Quotas(), Terms(audio_seconds_per_minute=600)
    quotas.enter(terms, now_s=0)
    quotas.charge("alice", 500)
    quotas.charge("alice", -490)
    assert quotas.headers("alice")["x-ratelimit-remaining-audio-seconds"] == "590"
    quotas.charge("alice", -10_000)
    assert quotas.headers("alice")["x-ratelimit-remaining-audio-seconds"] == "600"


def test_two_callers_share_nothing():
    quotas = Quotas()
    quotas.enter(Terms("alice", requests_per_minute=1), now_s=0)
    quotas.enter(Terms("bob", requests_per_minute=1), now_s=0)


def test_a_replica_counts_its_share():
    quotas, terms = Quotas(share=0.25), Terms(requests_per_minute=8, max_concurrent=1)
    quotas.enter(terms, now_s=0)
    quotas.leave("alice")
    quotas.enter(terms, now_s=0)
    quotas.leave("alice")
    assert refusal(quotas, terms, now_s=0).retry_after_s == pytest.approx(30)


def test_a_limit_that_changes_holds_at_once():
    quotas = Quotas()
    quotas.enter(Terms(requests_per_minute=100), now_s=0)
    quotas.enter(Terms(requests_per_minute=1), now_s=0)
    refusal(quotas, Terms(requests_per_minute=1), now_s=0)
    quotas.enter(Terms(), now_s=0)


def test_the_headers_say_limit_rest_and_when_all_is_back():
    quotas, terms = Quotas(), Terms(requests_per_minute=60)
    quotas.enter(terms, now_s=0)
    assert quotas.headers("alice") == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1.000s",
    }


@given(st.lists(st.floats(0, 5), min_size=1, max_size=200), st.floats(1, 120))
def test_no_more_enter_than_the_limit_and_the_time_allow(gaps_s, per_minute):
    quotas, terms = Quotas(), Terms(requests_per_minute=per_minute)
    now_s, num_in, waits_s = 0.0, 0, []
    for gap_s in gaps_s:
        now_s += gap_s
        try:
            quotas.enter(terms, now_s=now_s)
            num_in += 1
        except RateLimited as refused:
            waits_s.append(refused.retry_after_s)
    assert all(0 < wait_s <= 60 / per_minute + 1e-6 for wait_s in waits_s)
    assert num_in <= per_minute * (1 + now_s / 60) + 1e-6


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 1200)), min_size=1, max_size=100))
def test_who_waits_as_told_gets_in(asked):
    quotas, terms = Quotas(), Terms(audio_seconds_per_minute=300)
    now_s = 0.0
    for gap_s, audio_s in asked:
        now_s += gap_s
        try:
            quotas.enter(terms, now_s=now_s)
        except RateLimited as refused:
            now_s += refused.retry_after_s + 1e-6
            quotas.enter(terms, now_s=now_s)
        quotas.charge("alice", audio_s)
