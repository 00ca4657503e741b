"""The phases of a cold start."""

from flamingo_common.wire.report import StartReport
from flamingo_operator.cluster import cold_start


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


def test_starts_are_summarized():
    starts = [cold_start.ColdStartPhases(0, 0, float(load_s)) for load_s in range(1, 101)]
    found = cold_start.summarize(starts)
    assert found is not None
    assert (found.num_starts, found.mean.load_s) == (100, 50.5)
    assert (found.p50_s, found.p95_s) == (51, 95)
    assert cold_start.summarize([]) is None
    told = cold_start.with_start_report(starts[49], StartReport(fetch_s=20, load_s=20, warm_s=10))
    # The mean parts are those of the starts whose parts are known.
    assert cold_start.summarize([*starts, told]).mean == told
