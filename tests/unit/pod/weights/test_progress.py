"""The progress of loading a model."""

from flamingo_common.wire.report import StartReport
from flamingo_pod.weights.progress import LoadingProgress


def test_progress_has_the_phase_and_the_remaining_seconds():
    now_s = [0.0]
    progress = LoadingProgress(clock=lambda: now_s[0])
    now_s[0] = 3.0
    progress.begin("downloading", total=100, done=20)
    now_s[0] = 5.0
    progress.add(20)
    status = progress.now()
    assert (status.phase, status.phase_s, status.elapsed_s) == ("downloading", 2.0, 5.0)
    assert (status.done_bytes, status.total_bytes) == (40, 100)
    assert status.left_s == 6.0, "20 bytes in 2 s, 60 left; earlier bytes are not in the rate"


def test_the_durations_of_a_start_are_known_once_it_is_over():
    now_s = [0.0]
    progress = LoadingProgress(clock=lambda: now_s[0])
    for phase, at_s in (("downloading", 3.0), ("reading", 10.0), ("warming", 60.0)):
        now_s[0] = at_s
        progress.begin(phase)
    assert progress.start is None
    now_s[0] = 75.0
    progress.finish()
    assert progress.start == StartReport(fetch_s=10.0, load_s=50.0, warm_s=15.0)


def test_no_remaining_time_is_predicted_before_any_byte_arrived():
    progress = LoadingProgress(clock=lambda: 1.0)
    progress.begin("downloading", total=100, done=20)
    assert progress.now().left_s is None
