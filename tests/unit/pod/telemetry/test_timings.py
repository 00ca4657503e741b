import time

from flamingo_common.wire.report import MAX_REPORTED_CLIPS, MAX_TIMINGS, LoadReport
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.encoding.clips import ClipIndex
from flamingo_pod.telemetry.timings import RecentTimings


def test_the_last_timings_are_kept_and_numbered():
    timings = RecentTimings()
    for number in range(MAX_TIMINGS + 5):
        timings.add(RequestStats(route="/v1/audio/captions", num_output_tokens=number))
    assert [each.number for each in timings.last()] == list(range(6, MAX_TIMINGS + 6))
    assert timings.last()[-1].num_tokens == MAX_TIMINGS + 4


def test_a_report_of_a_thousand_clips_is_cheap():
    clips, timings = ClipIndex(), RecentTimings()
    for number in range(MAX_REPORTED_CLIPS):
        key = number.to_bytes(32, "big")
        clips.register(f"{number:064d}", [key], None)
        clips.on_cache_change(key, True)
        timings.add(RequestStats(route="/v1/audio/captions"))

    def report():
        return LoadReport(
            model="m",
            state="ready",
            epoch="e",
            sequence=1,
            backlog_s=0.0,
            num_running=1,
            num_waiting=0,
            clips=clips.names(),
            timings=timings.last(),
        ).model_dump_json()

    cpu_s = []
    for _ in range(50):
        started_s = time.thread_time()
        text = report()
        cpu_s.append(time.thread_time() - started_s)
    assert len(LoadReport.model_validate_json(text).clips) == MAX_REPORTED_CLIPS
    assert min(cpu_s) < 0.001  # 0.2 ms, and a busy machine
