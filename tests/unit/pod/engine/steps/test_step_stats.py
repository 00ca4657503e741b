from flamingo_pod.engine.scheduling.sequence import Prefix, SamplingParams, Sequence
from flamingo_pod.engine.scheduling.step_plan import Chunk, StepPlan, WindowJob
from flamingo_pod.engine.steps.step_stats import StepTimes, record_step


def sequence(number, prefix=None):
    made = Sequence(number, range(100), SamplingParams(max_tokens=8), 0.0, own_prefix=prefix)
    made.stats.num_windows_left, made.stats.num_prompt_tokens_left = 2, 100
    return made


def test_a_step_is_recorded_in_the_stats_of_its_requests():
    prefix = Prefix(b"", num_tokens=60, audio_start=2, window_tokens=[58])
    with_clip, text_only = sequence(0, prefix), sequence(1)
    job = WindowJob(with_clip, prefix, 0)
    plan = StepPlan(windows=[job], chunks=[Chunk(with_clip, 0, 30), Chunk(text_only, 90, 100)])
    record_step(plan, [job], StepTimes(started_s=50.0, step_s=7.0, windows_s=3.0))

    stats = with_clip.stats
    assert (stats.num_windows_encoded, stats.num_windows_left) == (1, 1)
    assert (stats.num_prompt_tokens_left, stats.num_prefix_tokens_computed) == (70, 30)
    assert (stats.compute_s, stats.encode_s) == (6.0, 3.0)
    assert (stats.started_s, stats.encoded_s) == (50.0, 53.0)

    stats = text_only.stats
    assert (stats.num_prompt_tokens_left, stats.num_prefix_tokens_computed) == (0, 0)
    assert (stats.compute_s, stats.encode_s, stats.encoded_s) == (1.0, 0.0, None)


def test_a_later_step_does_not_move_the_start():
    one = sequence(0)
    for started_s in (1.0, 2.0):
        plan = StepPlan(chunks=[Chunk(one, 0, 10)])
        record_step(plan, [], StepTimes(started_s, step_s=0.5, windows_s=0.0))
    assert one.stats.started_s == 1.0
    assert one.stats.compute_s == 1.0
