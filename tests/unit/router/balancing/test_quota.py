"""Quotas: requests and audio per minute, and requests at once."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.errors import RateLimited
from flamingo_router.balancing.quota import Quotas


@dataclass(frozen=True)
class Limits:
    name: str = "alice"
    max_concurrent: int | None = None
    requests_per_minute: float | None = None
    audio_seconds_per_minute: float | None = None


def refusal(quotas, key, now_s):
    with pytest.raises(RateLimited) as refused:
        quotas.admit(key, now_s=now_s)
    return refused.value


def test_a_key_without_limits_is_never_refused():
    quotas = Quotas(share=1.0)
    for _ in range(1000):
        quotas.admit(Limits(), now_s=0)
    assert quotas.headers("alice") == {}


def test_a_minutes_requests_may_arrive_at_once_and_the_next_must_wait():
    quotas, key = Quotas(share=1.0), Limits(requests_per_minute=30)
    for _ in range(30):
        quotas.admit(key, now_s=0)
    refused = refusal(quotas, key, now_s=0)
    assert refused.retry_after_s == pytest.approx(2)
    assert refused.message == (
        "the key 'alice' has reached its limit of 30 requests per minute; retry in 2 s"
    )
    quotas.admit(key, now_s=2)


def test_requests_in_flight_are_limited():
    quotas, key = Quotas(share=1.0), Limits(max_concurrent=2)
    quotas.admit(key, now_s=0)
    quotas.admit(key, now_s=0)
    assert "has reached its limit of 2 concurrent requests" in refusal(quotas, key, now_s=0).message
    quotas.release("alice")
    quotas.admit(key, now_s=0)


def test_a_refused_request_costs_nothing():
    quotas, key = Quotas(share=1.0), Limits(max_concurrent=1, requests_per_minute=2)
    quotas.admit(key, now_s=0)
    for _ in range(10):
        refusal(quotas, key, now_s=0)
    quotas.release("alice")
    quotas.admit(key, now_s=0)


def test_a_clip_longer_than_what_is_left_is_admitted_and_paid_back_by_waiting():
    quotas, key = Quotas(share=1.0), Limits(audio_seconds_per_minute=600)
    quotas.admit(key, now_s=0)
    quotas.charge_audio("alice", 1200)
    refused = refusal(quotas, key, now_s=0)
    assert refused.retry_after_s == pytest.approx(60)
    quotas.admit(key, now_s=60.1)


def test_audio_that_was_charged_too_much_is_given_back():
    quotas, key = Quotas(share=1.0), Limits(audio_seconds_per_minute=600)
    quotas.admit(key, now_s=0)
    quotas.charge_audio("alice", 500)
    quotas.charge_audio("alice", -490)
    assert quotas.headers("alice")["x-ratelimit-remaining-audio-seconds"] == "590"
    quotas.charge_audio("alice", -10_000)
    assert quotas.headers("alice")["x-ratelimit-remaining-audio-seconds"] == "600"


def test_two_callers_share_nothing():
    quotas = Quotas(share=1.0)
    quotas.admit(Limits("alice", requests_per_minute=1), now_s=0)
    quotas.admit(Limits("bob", requests_per_minute=1), now_s=0)


def test_a_replica_applies_its_share():
    quotas, key = Quotas(share=0.25), Limits(requests_per_minute=8, max_concurrent=1)
    quotas.admit(key, now_s=0)
    quotas.release("alice")
    quotas.admit(key, now_s=0)
    quotas.release("alice")
    assert refusal(quotas, key, now_s=0).retry_after_s == pytest.approx(30)


def test_a_changed_limit_applies_at_once():
    quotas = Quotas(share=1.0)
    quotas.admit(Limits(requests_per_minute=100), now_s=0)
    quotas.admit(Limits(requests_per_minute=1), now_s=0)
    refusal(quotas, Limits(requests_per_minute=1), now_s=0)
    quotas.admit(Limits(), now_s=0)


def test_the_headers_state_limit_remaining_and_reset():
    quotas, key = Quotas(share=1.0), Limits(requests_per_minute=60)
    quotas.admit(key, now_s=0)
    assert quotas.headers("alice") == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1.000s",
    }


@given(st.lists(st.floats(0, 5), min_size=1, max_size=200), st.floats(1, 120))
def test_no_more_are_admitted_than_the_limit_and_the_time_allow(gaps_s, per_minute):
    quotas, key = Quotas(share=1.0), Limits(requests_per_minute=per_minute)
    now_s, num_admitted, waits_s = 0.0, 0, []
    for gap_s in gaps_s:
        now_s += gap_s
        try:
            quotas.admit(key, now_s=now_s)
            num_admitted += 1
        except RateLimited as refused:
            waits_s.append(refused.retry_after_s)
    assert all(0 < wait_s <= 60 / per_minute + 1e-6 for wait_s in waits_s)
    assert num_admitted <= per_minute * (1 + now_s / 60) + 1e-6


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 1200)), min_size=1, max_size=100))
def test_a_caller_that_waits_for_retry_after_is_admitted(requests):
    quotas, key = Quotas(share=1.0), Limits(audio_seconds_per_minute=300)
    now_s = 0.0
    for gap_s, audio_s in requests:
        now_s += gap_s
        try:
            quotas.admit(key, now_s=now_s)
        except RateLimited as refused:
            now_s += refused.retry_after_s + 1e-6
            quotas.admit(key, now_s=now_s)
        quotas.charge_audio("alice", audio_s)
