"""The benchmark's workload: reproducible, and equal for all engines."""

from dataclasses import replace

import numpy as np
import pytest

from flamingo_common.audio import windows
from flamingo_pod.bench import job, synthetic_audio, workload
from flamingo_pod.bench.workload import KINDS, WorkloadPlan

M = WorkloadPlan("staggered", num_clips=16, num_questions=1, arrival_scale=1.0, seed=0, quick=False)
REPEATED = replace(M, kind="repeated", num_clips=3, num_questions=4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_gives_the_same_workload_again(kind):
    assert workload.build(replace(M, kind=kind)) == workload.build(replace(M, kind=kind))


def test_another_seed_gives_another_workload():
    assert workload.build(M) != workload.build(replace(M, seed=1))


def test_clips_and_answers_are_as_long_as_the_plan_says():
    work = workload.build(replace(M, num_clips=400))
    lengths_s, answers = work.clips_s[:400], [one.num_tokens for one in work.requests]
    assert 4 <= min(lengths_s) < 5
    assert 39 < max(lengths_s) <= 40
    assert min(answers) == 16
    assert max(answers) == 128


def test_staggered_and_at_once_differ_in_arrivals_only():
    staggered, at_once = (
        workload.build(replace(M, kind=kind)) for kind in ("staggered", "at-once")
    )
    assert [replace(one, arrival_s=0.0) for one in staggered.requests] == list(at_once.requests)
    arrivals_s = [one.arrival_s for one in staggered.requests]
    assert arrivals_s[0] == 0 < arrivals_s[1]
    assert arrivals_s == sorted(arrivals_s)


def test_arrivals_scale():
    twice = workload.build(replace(M, arrival_scale=2.0))
    expected = [2 * one.arrival_s for one in workload.build(M).requests]
    assert [one.arrival_s for one in twice.requests] == pytest.approx(expected)


def test_a_follow_up_comes_after_the_answer_before_it_and_has_its_chat():
    requests = workload.build(REPEATED).requests
    for one in requests[3:]:
        before = requests[one.after]
        assert (before.number, before.clip) == (one.number - 3, one.clip)
        assert one.turns[: len(before.turns)] == before.turns
        assert [turn.role for turn in one.turns[len(before.turns) :]] == ["assistant", "user"]
    assert [one.after for one in requests[:3]] == [None] * 3


def test_no_clip_is_shared_with_warm_up_or_follow_ups():
    work = workload.build(REPEATED)
    clips = {one.clip for one in work.requests}
    others = {work.warm_up.clip, *(one.clip for one in work.follow_ups)}
    assert clips == {0, 1, 2}
    assert others == {3, 4}
    assert len(work.clips_s) == 5


def test_no_last_window_is_too_short_for_transformers():
    for seed in range(50):
        for seconds in workload.build(replace(M, seed=seed)).clips_s:
            tail = round(seconds * windows.SAMPLE_RATE_HZ) % windows.WINDOW_SAMPLES
            assert tail == 0 or tail >= windows.MIN_TAIL_SAMPLES


def test_audio_is_reproducible_and_not_silent():
    one, again, other = (
        synthetic_audio.make_clip(3.5, 1),
        synthetic_audio.make_clip(3.5, 1),
        synthetic_audio.make_clip(3.5, 2),
    )
    assert one.dtype == np.float32
    assert len(one) == 56_000
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert 0.05 < np.sqrt(np.mean(one**2)) < np.abs(one).max() <= 1


def test_a_job_reaches_the_engines_process_unchanged():
    todo = job.BenchJob("static", M, "flamingo-tiny", "result.json")
    assert job.parse(job.encode(todo)) == todo
