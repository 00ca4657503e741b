"""Quotas: requests and audio per minute, and requests at once."""

from dataclasses import dataclass

import pytest
from fakes import steps
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.errors import RateLimited
from flamingo_common.wire.report import CallerQuota, QuotaReport
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


def exchange(routers, now_s):
    """Let each router read the reports of the others, as of the beginning of the round."""
    reports = [quotas.report() for quotas in routers]
    for own, quotas in enumerate(routers):
        for number, report in enumerate(reports):
            if number != own:
                quotas.observe(f"router-{number}", report, now_s=now_s)
        quotas.settle(now_s=now_s)


def sharing(count, now_s=0.0):
    """Return routers that have exchanged once."""
    routers = [Quotas(share=1.0, epoch=f"epoch-{number}") for number in range(count)]
    for quotas in routers:
        quotas.set_members([f"router-{number}" for number in range(count)], now_s=now_s)
    exchange(routers, now_s)
    return routers


def admitted(quotas, key, now_s):
    try:
        quotas.admit(key, now_s=now_s)
    except RateLimited:
        return False
    return True


INTERVAL_S = 0.25
SHARES = st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(any)


@given(weights=SHARES, per_minute=st.floats(20, 600), demand=st.floats(0.2, 6))
def test_routers_that_exchange_apply_one_limit_however_the_requests_are_spread(
    weights, per_minute, demand
):
    routers, key = sharing(3), Limits(requests_per_minute=per_minute)
    rate_per_s, num_admitted, due = demand * per_minute / 60, 0, [0.0] * 3
    for step in range(1, 241):
        now_s = step * INTERVAL_S
        for number, quotas in enumerate(routers):
            due[number] += rate_per_s * INTERVAL_S * weights[number] / sum(weights)
            while due[number] >= 1:
                due[number] -= 1
                if admitted(quotas, key, now_s):
                    num_admitted += 1
                    quotas.release(key.name)
        exchange(routers, now_s)
    limit = per_minute * (1 + now_s / 60)
    assert num_admitted <= limit + len(routers)
    assert num_admitted >= 0.9 * min(limit, rate_per_s * now_s) - 2 * len(routers)


def test_requests_in_flight_at_other_routers_count():
    routers, key = sharing(3), Limits(max_concurrent=9)
    for _ in range(9):
        exchange(routers, 1.0)
        admitted(routers[0], key, 1.0)
    exchange(routers, 1.0)
    assert routers[0].report().callers["alice"].num_in_flight == 9
    assert not admitted(routers[1], key, 1.0)
    routers[0].release("alice")
    exchange(routers, 1.0)
    assert admitted(routers[1], key, 1.0)


def test_a_burst_at_all_routers_at_once_exceeds_the_limit_of_requests_in_flight_by_none():
    routers, key = sharing(3), Limits(max_concurrent=9)
    exchange(routers, 1.0)
    burst = [admitted(quotas, key, 1.0) for _ in range(20) for quotas in routers]
    assert sum(burst) == 9


def test_a_burst_at_all_routers_at_once_exceeds_the_limit_of_a_minute_by_none():
    routers, key = sharing(3), Limits(requests_per_minute=60)
    burst = [admitted(quotas, key, 0.0) for _ in range(60) for quotas in routers]
    assert sum(burst) == 60
    assert refusal(routers[0], key, now_s=0.0).retry_after_s == 1, "it may be after an exchange"


def test_audio_is_shared_and_given_back():
    routers, key = sharing(2), Limits(audio_seconds_per_minute=600)
    for quotas in routers:
        quotas.admit(key, now_s=0)
    exchange(routers, 0.0)
    routers[0].charge_audio("alice", 500)
    exchange(routers, 0.0)
    remaining = "x-ratelimit-remaining-audio-seconds"
    assert [quotas.headers("alice")[remaining] for quotas in routers] == ["100", "100"]
    routers[0].charge_audio("alice", -500)
    exchange(routers, 0.0)
    assert [quotas.headers("alice")[remaining] for quotas in routers] == ["600", "600"]


def test_a_router_that_does_not_report_keeps_its_part_of_the_limit():
    routers, key = sharing(4), Limits(requests_per_minute=60)
    heard = routers[:3]
    for now_s in (1.0, 5.0):
        exchange(heard, now_s)
    heard[0].admit(key, now_s=5.0)
    assert heard[0].headers("alice")["x-ratelimit-limit-requests"] == "45"
    exchange(routers, 6.0)
    heard[0].admit(key, now_s=6.0)
    assert heard[0].headers("alice")["x-ratelimit-limit-requests"] == "60"


def test_a_new_router_does_not_start_with_a_full_minute():
    routers, key = sharing(2), Limits(requests_per_minute=60)
    for now_s in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
        while admitted(routers[0], key, now_s):
            pass
        exchange(routers, now_s)
    routers.append(Quotas(share=1.0, epoch="new"))
    for quotas in routers:
        quotas.set_members(["router-0", "router-1", "router-2"], now_s=1.0)
    exchange(routers, 1.0)
    assert sum(admitted(routers[2], key, 1.0) for _ in range(60)) <= 2


def test_a_router_that_restarted_takes_nothing_away_and_gives_nothing_back():
    routers, key = sharing(2), Limits(requests_per_minute=60)
    routers[0].admit(key, now_s=0)
    for _ in range(10):
        routers[1].admit(key, now_s=0)
    exchange(routers, 0.0)
    before = routers[0].headers("alice")
    routers[1] = Quotas(share=1.0, epoch="next")
    routers[1].set_members(["router-0", "router-1"], now_s=0.0)
    exchange(routers, 0.0)
    assert routers[0].headers("alice") == before


def test_a_request_of_a_known_key_costs_the_same_with_any_number_of_routers():
    def num_steps_with(num_peers):
        quotas, key = Quotas(share=1.0), Limits(requests_per_minute=30)
        report = QuotaReport(epoch="1", callers={"alice": CallerQuota(requests_left=20.0)})
        for number in range(num_peers):
            quotas.observe(f"http://{number}", report, now_s=0)
        quotas.admit(key, now_s=0)
        return steps.num_steps(lambda: quotas.admit(key, now_s=0))

    assert num_steps_with(1) == num_steps_with(50)


def test_a_limit_that_is_added_to_a_known_key_begins_with_what_others_report():
    quotas = Quotas(share=1.0)
    report = QuotaReport(epoch="1", callers={"alice": CallerQuota(audio_left_s=0.0)})
    quotas.observe("http://a", report, now_s=0)
    quotas.admit(Limits(requests_per_minute=30), now_s=0)
    both = Limits(requests_per_minute=30, audio_seconds_per_minute=60)
    assert "seconds of audio per minute" in refusal(quotas, both, now_s=0).message
