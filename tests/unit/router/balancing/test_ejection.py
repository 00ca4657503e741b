"""Ejection: which endpoints get no requests for a while."""

import math

from hypothesis import given
from hypothesis import strategies as st

from flamingo_router.balancing import ejection
from flamingo_router.balancing.ejection import EndpointHealth


def test_failures_in_a_row_eject_for_longer_each_time():
    health, now_s, times = EndpointHealth(), 0.0, []
    for _ in range(3):
        while not health.record_failure(sent_s=now_s, now_s=now_s):
            pass
        times.append(health.ejected_until_s - now_s)
        now_s = health.ejected_until_s
    assert times == [10, 20, 40]
    for _ in range(20):
        health.eject(now_s=0)
    assert health.ejected_until_s == ejection.MAX_EJECTION_S


def test_a_response_ends_a_row_of_failures():
    health = EndpointHealth()
    for _ in range(50):
        health.record_failure(sent_s=0, now_s=0)
        health.record_success(sent_s=0)
    assert health.ejected_until_s == -math.inf


def test_one_incident_ejects_once_however_many_requests_it_fails():
    health = EndpointHealth()
    outcomes = [health.record_failure(sent_s=0, now_s=0.1 * number) for number in range(60)]
    late = health.record_failure(sent_s=9.0, now_s=30.0)

    assert (sum(outcomes), late) == (1, False)
    assert health.ejected_until_s < 11


def test_the_first_failure_after_an_ejection_ejects_again_and_a_success_ends_the_trial():
    health = EndpointHealth()
    health.eject(now_s=0)
    assert health.record_failure(sent_s=10, now_s=11)
    health.record_success(sent_s=31)
    assert not health.is_on_trial
    assert not health.record_failure(sent_s=32, now_s=32)


@given(st.lists(st.booleans(), max_size=12))
def test_ejection_never_takes_more_than_half(are_out):
    healths = {
        str(n): EndpointHealth(ejected_until_s=10.0 if out else 0.0)
        for n, out in enumerate(are_out)
    }
    out = ejection.ejected_addresses(healths, num_ready=len(healths), now_s=5)

    assert len(out) <= len(healths) / 2
    if 0 < sum(are_out) <= len(are_out) / 2:
        assert len(out) == sum(are_out)


def test_an_outlier_is_slow_and_of_two_endpoints_neither_is():
    assert ejection.slow_addresses({"a": 1.0, "b": 1.1, "c": 5.0}) == ["c"]
    assert ejection.slow_addresses({"a": 1.0, "c": 5.0}) == ()
    assert ejection.slow_addresses({"a": 5.0, "b": 5.1, "c": 4.9}) == []
