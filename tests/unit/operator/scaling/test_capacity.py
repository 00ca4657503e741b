"""How many seconds of audio a pod processes per second, as measured."""

import pytest

from flamingo_common.wire.report import LoadReport, RequestTiming
from flamingo_operator.scaling import capacity
from flamingo_operator.scaling.capacity import (
    CLAMP,
    PRIOR,
    CapacityState,
    MeasuredThroughput,
    mean_pod_rate,
    pod_rate,
    with_reports,
)


def report(*timings, epoch="e1"):
    return LoadReport(
        model="m",
        state="ready",
        epoch=epoch,
        sequence=1,
        backlog_s=0,
        num_running=0,
        num_waiting=0,
        timings=[
            RequestTiming(
                number=number, route="chat", num_windows=windows, num_tokens=9, compute_s=took_s
            )
            for number, windows, took_s in timings
        ],
    )


def test_an_unmeasured_gpu_has_the_prior():
    assert pod_rate(MeasuredThroughput()) == PRIOR
    assert mean_pod_rate(CapacityState(), {}) == PRIOR
    assert mean_pod_rate(CapacityState(), {"L40S": 2}, prior=7.0) == 7.0


def test_measurement_replaces_the_prior():
    state = CapacityState()
    for number in range(400):
        state = with_reports(state, [("L40S", report((number, 4, 10.0)))])
    assert pod_rate(state.products["L40S"]) == pytest.approx(12.0, rel=0.1)


def test_it_follows_a_change_of_pace():
    state = CapacityState()
    for number in range(2000):
        took_s = 1.0 if number < 1000 else 3.0
        state = with_reports(state, [("L40S", report((number, 1, took_s)))])
    assert pod_rate(state.products["L40S"]) == pytest.approx(10.0, rel=0.1)


def test_a_request_that_is_reported_twice_counts_once():
    once = with_reports(CapacityState(), [("L40S", report((0, 1, 1.0), (1, 2, 2.0)))])
    again = with_reports(once, [("L40S", report((0, 1, 1.0), (1, 2, 2.0)))] * 3)
    assert again == once
    assert once.products["L40S"].num_requests == 2


def test_a_restarted_pod_counts_from_zero():
    once = with_reports(CapacityState(), [("L40S", report((5, 1, 1.0)))])
    again = with_reports(once, [("L40S", report((0, 1, 1.0), epoch="e2"))])
    assert again.products["L40S"].num_requests == 2


def test_a_cached_clip_measures_no_audio():
    assert (
        with_reports(CapacityState(), [("L40S", report((0, 0, 5.0)))]).products["L40S"]
        == MeasuredThroughput()
    )


@pytest.mark.parametrize(("audio_s", "times"), [(1e9, CLAMP), (0.0, 1 / CLAMP)])
def test_unusual_requests_move_the_rate_only_so_far(audio_s, times):
    assert pod_rate(MeasuredThroughput(audio_s, 1e6, 9)) == PRIOR * times


def test_pods_of_several_products_have_a_mean():
    state = CapacityState(
        products={"A": MeasuredThroughput(3e6, 1e5, 9), "B": MeasuredThroughput(1e7, 1e5, 9)}
    )
    mixed = mean_pod_rate(state, {"A": 1, "B": 3})
    assert mixed == pytest.approx((30 + 3 * 100) / 4, rel=0.01)
    assert mean_pod_rate(state, {}) == pytest.approx(30, rel=0.01)


def test_the_state_is_limited():
    state = CapacityState()
    for pod in range(capacity.MAX_PODS + 10):
        state = with_reports(state, [("A", report((0, 1, 1.0), epoch=f"e{pod}"))])
    assert len(state.last_numbers) == capacity.MAX_PODS
