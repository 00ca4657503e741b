from flamingo.batch.outcomes import ItemError, ItemResult, Outcome
from flamingo.batch.progress import Progress


def test_each_outcome_is_counted_once():
    progress = Progress(num_skipped=5)
    result = Outcome("a", result=ItemResult(audio_s=30.0, missing_s=2.0))
    final = Outcome("b", error=ItemError("invalid_audio", "", can_retry=False))
    later = Outcome("c", error=ItemError("upstream_lost", "", can_retry=True))
    for number, outcome in enumerate((result, final, later, result), 1):
        progress = progress.after(outcome, elapsed_s=float(number))

    assert progress == Progress(2, 1, 1, 5, audio_s=60.0, missing_s=4.0, elapsed_s=4.0)
    assert progress.real_time_factor == 15.0


def test_an_item_with_a_failed_question_has_failed_and_its_audio_counts():
    error = ItemError("answers_failed", "", can_retry=False)
    outcome = Outcome("a", result=ItemResult(audio_s=30.0), error=error)
    assert Progress().after(outcome, elapsed_s=1.0) == Progress(
        num_failed=1, audio_s=30.0, elapsed_s=1.0
    )


def test_before_the_first_outcome_the_real_time_factor_is_zero():
    assert Progress().real_time_factor == 0.0
