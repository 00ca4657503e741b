"""What a pod can take, measured; and how long a start takes."""

import pytest

from flamingo_common.wire.report import LoadReport, RequestTiming, StartReport
from flamingo_operator.cluster import cold_start
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


def test_a_gpu_that_nothing_is_known_of_has_the_prior():
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


def test_a_request_that_is_told_twice_counts_once():
    once = with_reports(CapacityState(), [("L40S", report((0, 1, 1.0), (1, 2, 2.0)))])
    again = with_reports(once, [("L40S", report((0, 1, 1.0), (1, 2, 2.0)))] * 3)
    assert again == once
    assert once.products["L40S"].num_requests == 2


def test_a_pod_that_began_anew_counts_anew():
    once = with_reports(CapacityState(), [("L40S", report((5, 1, 1.0)))])
    again = with_reports(once, [("L40S", report((0, 1, 1.0), epoch="e2"))])
    assert again.products["L40S"].num_requests == 2


def test_a_cached_clip_says_nothing_of_audio():
    assert (
        with_reports(CapacityState(), [("L40S", report((0, 0, 5.0)))]).products["L40S"]
        == MeasuredThroughput()
    )


@pytest.mark.parametrize(("audio_s", "times"), [(1e9, CLAMP), (0.0, 1 / CLAMP)])
def test_odd_requests_move_the_figure_so_far_and_no_farther(audio_s, times):
    assert pod_rate(MeasuredThroughput(audio_s, 1e6, 9)) == PRIOR * times


def test_pods_of_several_products_have_a_mean():
    state = CapacityState(
        products={"A": MeasuredThroughput(3e6, 1e5, 9), "B": MeasuredThroughput(1e7, 1e5, 9)}
    )
    mixed = mean_pod_rate(state, {"A": 1, "B": 3})
    assert mixed == pytest.approx((30 + 3 * 100) / 4, rel=0.01)
    assert mean_pod_rate(state, {}) == pytest.approx(30, rel=0.01)


def test_what_is_remembered_is_bounded():
    state = CapacityState()
    for pod in range(capacity.MAX_PODS + 10):
        state = with_reports(state, [("A", report((0, 1, 1.0), epoch=f"e{pod}"))])
    assert len(state.last_numbers) == capacity.MAX_PODS


def started(**changes):
    def true(kind, moment):
        return {
            "type": kind,
            "status": "True",
            "lastTransitionTime": f"2026-01-01T00:{moment}Z",
        }

    running = {"state": {"running": {"startedAt": "2026-01-01T00:00:35Z"}}, "restartCount": 0}
    return {
        "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {
            "conditions": [true("PodScheduled", "00:04"), true("Ready", "02:20")],
            "containerStatuses": [{**running, **changes}],
        },
    }


def test_a_start_is_divided_into_its_phases():
    seen = cold_start.pod_phases(started())
    assert seen == cold_start.ColdStartPhases(schedule_s=4.0, image_pull_s=31.0, load_s=105.0)
    told = StartReport(fetch_s=12.0, load_s=70.0, warm_s=15.0)
    found = cold_start.with_start_report(seen, told)
    assert (found.fetch_s, found.load_s, found.warm_s) == (12.0, 78.0, 15.0)
    assert found.total_s == seen.total_s == 140.0
    # A process that began anew tells of another start than the one that was seen.
    again = StartReport(fetch_s=0.0, load_s=1.0, warm_s=1.0)
    assert cold_start.with_start_report(found, again) == found


def test_a_restarted_or_unready_pod_has_no_cold_start():
    assert cold_start.pod_phases(started(restartCount=1)) is None
    assert cold_start.pod_phases(started(state={"waiting": {}})) is None
    assert cold_start.pod_phases({"metadata": {}, "status": {}}) is None


def test_starts_are_summed_up():
    starts = [cold_start.ColdStartPhases(0, 0, float(load_s)) for load_s in range(1, 101)]
    found = cold_start.summarize(starts)
    assert found is not None
    assert (found.num_starts, found.mean.load_s) == (100, 50.5)
    assert (found.p50_s, found.p95_s) == (51, 95)
    assert cold_start.summarize([]) is None
    told = cold_start.with_start_report(starts[49], StartReport(fetch_s=20, load_s=20, warm_s=10))
    # The mean parts are those of the starts whose parts are known.
    assert cold_start.summarize([*starts, told]).mean == told
