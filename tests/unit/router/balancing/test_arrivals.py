"""Arrival rates."""

import random

import pytest

from flamingo_router.balancing.arrivals import Arrivals


def test_arrivals_are_reported_per_second_of_each_window():
    arrivals, rng = Arrivals(since_s=0.0), random.Random(1)
    for second in range(600):
        for _ in range(2):
            arrivals.record(30.0 if second >= 540 else 10.0, 1.0, now_s=second + rng.random())

    minute, five_minutes = (arrivals.rate(window_s, now_s=600) for window_s in (60, 300))
    assert minute.audio_s == pytest.approx(60, rel=0.1)
    assert five_minutes.audio_s == pytest.approx((20 * 240 + 60 * 60) / 300, rel=0.1)
    assert (minute.num, minute.work_s) == pytest.approx((2, 2), rel=0.1)
    assert arrivals.rate(60, now_s=2000).num == 0


def test_a_request_that_was_not_read_counts_as_the_average_one():
    arrivals = Arrivals(since_s=0.0)
    arrivals.record_unread(0.5, now_s=1)
    assert arrivals.rate(60, now_s=10).work_s == pytest.approx(0.05)

    arrivals = Arrivals(since_s=0.0)
    for _ in range(10):
        arrivals.record(30.0, 2.0, now_s=1)
    for _ in range(30):
        arrivals.record_unread(0.5, now_s=2)
    rate = arrivals.rate(60, now_s=10)
    assert (rate.num, rate.audio_s, rate.work_s) == pytest.approx((4, 120, 8))


def test_a_router_that_just_started_reports_the_rate_since_then():
    arrivals = Arrivals(since_s=1000.0)
    for tenth in range(100):
        arrivals.record(5.0, 0.5, now_s=1000 + tenth / 10)
    assert arrivals.rate(300, now_s=1010).audio_s == pytest.approx(50, rel=0.1)


def test_how_much_of_a_window_was_counted_is_known():
    arrivals = Arrivals(since_s=1000.0)
    assert [arrivals.covered_s(60, now_s=now_s) for now_s in (1000, 1010, 1060, 5000)] == [
        *(0, 10),
        *(60, 60),
    ]
